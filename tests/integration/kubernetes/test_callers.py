"""Callers with Kubernetes tokens, at the service as a process of its own, whatever becomes of the API server."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.cluster.api import Cluster
from tests.cluster.callers import AUDIENCE, CallersOf
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import Account, shipped_account
from tests.processes.callers import bearer, write_callers
from tests.processes.services import ServiceProcess
from tests.processes.waiting import eventually

VERDICTS = "/v1/models/fraud/verdicts"
NOBODYS = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0."


@dataclass(frozen=True, slots=True)
class Guarded:
    service: ServiceProcess
    client: httpx.Client
    callers: CallersOf

    def get(self, token: str, path: str = VERDICTS) -> int:
        return self.client.get(path, headers=bearer(token)).status_code

    def reviews(self) -> dict[str, float]:
        """How often which answer was given to which question."""
        side = re.search(r"metrics=(http://\S+)", self.service.said())
        assert side is not None
        exposed = httpx.get(f"{side[1]}/metrics", trust_env=False).text
        found = re.findall(r'driftwarden_access_reviews_total\{asked="(\w+)",outcome="(\w+)"\} (\S+)', exposed)
        return {f"{asked} {outcome}": float(count) for asked, outcome, count in found}


@pytest.fixture(scope="module")
def guarded(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory = tmp_path_factory.mktemp("guarded")
    with shipped_account(cluster, directory / "account") as account:
        yield from _guarded(account, directory)


def _guarded(account: Account, directory: Path) -> Iterator[Guarded]:
    callers = CallersOf(account)
    for name in ("dashboard", "leaver"):
        callers.create(name, "driftwarden-read")
    keys = write_callers(directory / "callers")
    service = ServiceProcess(
        directory,
        DRIFT_AUTHENTICATION__KUBERNETES_AUDIENCE=AUDIENCE,
        DRIFT_AUTHENTICATION__KUBERNETES_NAMESPACE=account.service_namespace,
        DRIFT_AUTHENTICATION__KUBERNETES_SECONDS="1",
        DRIFT_AUTHENTICATION__KUBERNETES_TIMEOUT_SECONDS="1",
        DRIFT_AUTHENTICATION__KUBECONFIG=str(account.kubeconfig),
        DRIFT_AUTHENTICATION__CALLERS_FILE=str(keys.file),
        DRIFT_HTTP__METRICS_PORT="0",
        DRIFT_TELEMETRY__LOG_LEVEL="debug",
    )
    service.start()
    with service.client() as client:
        yield Guarded(service, client, callers)
    service.stop()
    service.end_orphan()
    assert NOBODYS not in service.said()
    for key in keys.keys.values():
        assert key not in service.said()


def test_roles_of_the_cluster_say_what_a_token_may_do_and_for_whom_it_is(guarded: Guarded) -> None:
    callers = guarded.callers
    callers.role("manage-churn", "manage", "churn")
    callers.create("trainer", "manage-churn")
    dashboard, trainer, leaver = (callers.token(name) for name in ("dashboard", "trainer", "leaver"))
    assert (guarded.get(dashboard), guarded.get(trainer)) == (404, 403)
    plan = {"window": {"rows": 100}}
    put = {
        (name, model): guarded.client.put(f"/v1/models/{model}/plan", json=plan, headers=bearer(token)).status_code
        for name, token in (("dashboard", dashboard), ("trainer", trainer))
        for model in ("churn", "fraud")
    }
    assert put == {
        ("dashboard", "churn"): 403,
        ("dashboard", "fraud"): 403,
        ("trainer", "churn"): 404,
        ("trainer", "fraud"): 403,
    }
    for audience in (None, "vault"):
        assert guarded.get(callers.token("dashboard", audience)) == 401
    # A right that is given later counts as soon as the refusal is forgotten; an account that is deleted is nobody.
    callers.bind("trainer", "driftwarden-read")
    eventually(lambda: guarded.get(trainer) == 404, "the new right counts")
    assert guarded.get(leaver) == 404
    callers.delete("leaver")
    eventually(lambda: guarded.get(leaver) == 401, "the deleted account is refused")
    for token in (dashboard, trainer, leaver):
        assert token not in guarded.service.said()


def test_a_flood_of_strangers_leaves_acquaintances_and_the_api_server_alone(guarded: Guarded) -> None:
    token = guarded.callers.token("dashboard")
    assert guarded.get(token) == 404
    with ThreadPoolExecutor(16) as senders:
        statuses = list(senders.map(lambda number: guarded.get(f"{NOBODYS}{number}"), range(300)))
        assert set(statuses) <= {401, 503}
        asked = guarded.reviews()["token refused"]
        same = list(senders.map(lambda _: guarded.get(f"{NOBODYS}same"), range(300)))
    assert set(same) == {401}
    assert guarded.reviews()["token refused"] - asked <= 3  # once, and once more after each five seconds
    assert guarded.get(token) == 404
    before = guarded.reviews()
    for junk in ("x", "x" * 50_000, "dwk_x", "a.b"):
        assert guarded.get(junk) == 401
    assert guarded.reviews() == before


def test_while_the_api_server_is_away_nobody_is_let_in_that_is_not_known(
    guarded: Guarded, control_plane: ControlPlane
) -> None:
    token = guarded.callers.token("dashboard")
    assert guarded.get(token) == 404
    control_plane.stop_api_server()
    refused = eventually(
        lambda: (answer := guarded.client.get(VERDICTS, headers=bearer(token))).status_code == 503 and answer,
        "what was known is believed no longer",
    )
    assert refused.json()["type"] == "urn:driftwarden:problem:access-undecided"
    assert int(refused.headers["retry-after"]) > 0
    assert guarded.get(f"{NOBODYS}x") == 503
    assert guarded.client.get(VERDICTS).status_code == 401  # nobody has to be asked about that
    assert guarded.client.get("/readyz").status_code == 200
    assert guarded.reviews()["token failed"] > 0
    assert "callers cannot be looked up" in guarded.service.said()
    control_plane.start_api_server()
    eventually(lambda: guarded.get(token) == 404, "callers are known again")
    assert guarded.get(f"{NOBODYS}x") == 401
    control_plane.api_server.pause()
    try:
        eventually(lambda: guarded.get(token) == 503, "an API server that hangs is given up")
    finally:
        control_plane.api_server.resume()
    eventually(lambda: guarded.get(token) == 404, "callers are known again")
