"""The image at work as a cluster runs it: read-only, without capabilities, as its own user, with one volume."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.settings import Settings
from tests.integration.image.conftest import StartContainer
from tests.integration.image.container import Container
from tests.integration.image.engine import Engine
from tests.processes import traffic
from tests.processes.waiting import eventually

pytestmark = pytest.mark.timeout(1200)  # the first one builds

MODEL = "/v1/models/fraud"
GRACE_S = 30


def _verdicts(client: httpx.Client) -> list[dict[str, Any]]:
    answer = client.get(f"{MODEL}/verdicts")
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()["verdicts"]
    return found


def _drift(client: httpx.Client, seed: int) -> None:
    client.post(f"{MODEL}/observations", json=traffic.payload(traffic.rows(seed, 50, shift=3.0))).raise_for_status()


def _watch(client: httpx.Client) -> None:
    client.put(f"{MODEL}/reference", json=traffic.reference()).raise_for_status()
    client.put(f"{MODEL}/plan", json=traffic.SMALL_PLAN).raise_for_status()


def test_it_takes_rows_and_finds_drift(start: StartContainer, volume: str) -> None:
    with start(volume).client() as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 200
        _watch(client)
        _drift(client, seed=2)
        verdict = eventually(lambda: _verdicts(client), "a verdict")[0]
        assert verdict["finding"] == "DRIFT"
        assert "driftwarden_" in client.get("/metrics").text


def test_the_shipped_retraining_template_is_in_it(start: StartContainer, volume: str) -> None:
    with start(volume).client() as client:
        _watch(client)
        _drift(client, seed=2)

        def delivered() -> dict[str, Any] | None:
            action = next((verdict["action"] for verdict in _verdicts(client)), None)
            return action if action and action["outcome"] else None

        action = eventually(delivered, "the action is delivered")
        assert action["kind"] == "Job"
        assert "registry.example.com/replace-me/retraining" in action["detail"]


def test_it_runs_as_an_unprivileged_user(start: StartContainer, volume: str) -> None:
    container = start(volume)
    assert container.execute("id", "-u") == "65532"
    status = dict(line.split(":", 1) for line in container.execute("cat", "/proc/1/status").splitlines())
    assert status["Uid"].split() == ["65532"] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"


def test_it_writes_nowhere_but_to_its_volume(engine: Engine, start: StartContainer, volume: str) -> None:
    container = start(volume)
    assert engine.run("podman", "diff", container.name) in {"", "C /etc"}  # the engine's own mount points
    for place in ("/tmp", "/opt/driftwarden", "/etc", "/var"):  # noqa: S108 - that it cannot be written to is the point
        assert not engine.succeeds("podman", "exec", container.name, "touch", f"{place}/written")


def test_without_its_store_it_lives_and_is_not_ready(start: StartContainer, volume: str) -> None:
    container = start(volume, until="/livez", DRIFT_STORE__URL="redis://127.0.0.1:6379")
    with container.client() as client:
        assert client.get("/readyz").status_code == 503
    assert container.execute("ls", "-A", "/var/lib/driftwarden") == ""
    assert container.stop(GRACE_S) == 0


def test_it_does_not_listen_to_everybody_without_a_word_about_who_they_are(
    engine: Engine, image: str, scratch: Path, volume: str
) -> None:
    container = Container(engine, image, scratch, volume, DRIFT_AUTHENTICATION__MODE="auto")
    try:
        engine.run("podman", "start", container.name)
        assert engine.run("podman", "wait", container.name) == "1"
        assert "DRIFT_AUTHENTICATION__MODE=none" in container.said()
    finally:
        container.remove()


def test_its_health_check_passes_while_it_lives(engine: Engine, start: StartContainer, volume: str) -> None:
    assert engine.succeeds("podman", "healthcheck", "run", start(volume).name)


def test_its_health_check_fails_where_nothing_listens(engine: Engine, image: str) -> None:
    check = ["podman", "run", "--rm", "--network", "none", "--entrypoint", "sleep", "--detach", image, "60"]
    idle = engine.run(*check)
    try:
        assert not engine.succeeds("podman", "healthcheck", "run", idle)
    finally:
        engine.run("podman", "rm", "--force", "--time", "0", "--volumes", idle)


def test_sigterm_ends_it_within_its_grace(start: StartContainer, volume: str) -> None:
    container = start(volume)
    began = time.monotonic()
    assert container.stop(GRACE_S) == 0
    assert time.monotonic() - began < Settings().http.drain_seconds


@pytest.mark.parametrize("end", [lambda container: container.stop(GRACE_S), Container.kill], ids=["stopped", "killed"])
def test_a_new_container_on_the_volume_knows_everything(
    start: StartContainer, volume: str, end: Callable[[Container], object]
) -> None:
    first = start(volume)
    with first.client() as client:
        _watch(client)
        _drift(client, seed=2)
        before = eventually(lambda: _verdicts(client), "a verdict")
    end(first)
    with start(volume).client() as client:
        assert [verdict["number"] for verdict in _verdicts(client)] == [verdict["number"] for verdict in before] == [1]
        _drift(client, seed=3)
        eventually(lambda: len(_verdicts(client)) == 2, "the next verdict")
