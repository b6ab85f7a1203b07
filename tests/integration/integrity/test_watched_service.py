"""The watch in a service that runs: readiness is withdrawn, and the API, the metrics and the log say why."""

from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from service.adapters.access.callers_file import line_of
from service.adapters.artifacts.targets_file import read_targets
from service.domain.access import Verb
from service.domain.errors import InvalidConfiguration
from service.settings import AuthenticationSettings, IntegritySettings
from tests.integration.integrity.conftest import Applications
from tests.integration.integrity.watching import Model, flip, made
from tests.integration.service.conftest import Application
from tests.processes.fixtures import MakeService
from tests.processes.waiting import eventually, eventually_async


def readiness(client: httpx.Client) -> int:
    return client.get("/readyz/integrity").status_code


def target(client: httpx.Client, name: str = "fraud") -> dict[str, Any]:
    answer = client.get("/v1/integrity")
    answer.raise_for_status()
    (found,) = [each for each in answer.json()["targets"] if each["name"] == name]
    return dict(found)


def test_a_model_that_is_tampered_with_takes_readiness_away(make_service: MakeService, model: Model) -> None:
    """R10."""
    digest = model.sign()
    service = make_service(DRIFT_INTEGRITY__TARGETS=str(model.targets()), DRIFT_TELEMETRY__LOG_FORMAT="json")
    service.start()
    with service.client() as client:
        eventually(lambda: readiness(client) == 200, "the model is verified")
        assert target(client) | {"last_success_age_seconds": 0} == {
            "name": "fraud",
            "kind": None,
            "mode": "enforce",
            "state": "verified",
            "reason": "",
            "last_success_age_seconds": 0,
            "payload_digest": digest,
            "changed": [],
            "missing": [],
            "added": [],
            "files_not_named": 0,
        }
        flip(model.weights)
        (model.root / "evil\n.py").write_bytes(b"")
        eventually(lambda: readiness(client) == 503, "readiness is withdrawn")
        problem = client.get("/readyz/integrity")
        assert problem.headers["content-type"] == "application/problem+json"
        assert problem.json()["type"] == "urn:driftwarden:problem:integrity-lost"
        assert problem.json()["targets"] == [{"name": "fraud", "state": "tampered"}]
        shown = target(client)
        assert (shown["state"], shown["added"]) == ("tampered", ["evil\\n.py"])
        assert client.get("/readyz").status_code == 200  # the service itself does not rest on that model
        metrics = client.get("/metrics").text
        assert 'driftwarden_integrity_state{kind="",state="tampered",target="fraud"} 1.0' in metrics
        assert 'driftwarden_integrity_files{change="added",target="fraud"} 1.0' in metrics
    (line,) = [line for line in service.said().splitlines() if '"state": "tampered"' in line]
    assert '"event": "io.driftwarden.integrity.changed.v1"' in line
    assert "evil" in line


def test_bits_that_flip_under_a_running_sidecar_are_found(make_service: MakeService, tmp_path: Path) -> None:
    """Case 40; several models in one file of targets, each with a bit of its own."""
    random = Random(5)  # noqa: S311 - nothing secret
    models = [made(tmp_path / str(number)) for number in range(8)]
    lines = [
        f"- {{name: m{number}, path: {each.root}, key: {each.keys / 'release.pub'}, stat_poll_seconds: 0.1}}"
        for number, each in enumerate(models)
    ]
    targets = tmp_path / "integrity.yaml"
    targets.write_text("\n".join(["targets:", *lines]))
    service = make_service("sidecar", "--forward-to", "http://127.0.0.1:9", DRIFT_INTEGRITY__TARGETS=str(targets))
    service.start()
    with service.client() as client:
        eventually(lambda: readiness(client) == 200, "every model is verified")
        for number, each in enumerate(models):
            flip(each.weights, random.randrange(8 * each.weights.stat().st_size))

            def is_found(name: str = f"m{number}") -> bool:
                return target(client, name)["state"] == "tampered"

            eventually(is_found, "it is found")
        assert len(client.get("/readyz/integrity").json()["targets"]) == len(models)


async def ready(app: Application, status: int, path: str = "/readyz/integrity") -> dict[str, Any]:
    """What it says as soon as it answers so."""

    async def is_so() -> bool:
        return (await app.client.get(path)).status_code == status

    await eventually_async(is_so, f"{path} is {status}")
    return dict((await app.client.get(path)).json())


@pytest.mark.anyio
async def test_it_is_not_ready_before_the_first_verification_and_what_is_only_observed_never_counts(
    applications: Applications, model: Model
) -> None:
    model.signature.unlink()
    async with applications(integrity=IntegritySettings(targets=model.targets())) as app:
        assert (await ready(app, 503))["targets"] == [{"name": "fraud", "state": "unknown"}]
    async with applications(integrity=IntegritySettings(targets=model.targets(mode="observe"))) as app:
        await ready(app, 200)
        shown = (await app.client.get("/v1/integrity")).json()["targets"][0]
        assert (shown["mode"], shown["state"]) == ("observe", "unknown")


@pytest.mark.anyio
async def test_readiness_of_the_service_rests_on_what_is_its_own(applications: Applications, model: Model) -> None:
    async with applications(integrity=IntegritySettings(targets=model.targets(ours=True))) as app:
        await ready(app, 200, "/readyz")
        flip(model.weights)
        await ready(app, 503, "/readyz")


@pytest.mark.anyio
async def test_whoever_probes_is_let_in_and_whoever_asks_must_be_known(
    applications: Applications, model: Model
) -> None:
    callers = model.keys / "callers"
    read, ingest = "dwk_reader", "dwk_sender"
    lines = [line_of("reader", read, [Verb.READ], "*"), line_of("sender", ingest, [Verb.INGEST], "*")]
    callers.write_text("\n".join(lines))
    groups = {
        "integrity": IntegritySettings(targets=model.targets()),
        "authentication": AuthenticationSettings(callers_file=callers),
    }
    async with applications(**groups) as app:
        await ready(app, 200)
        for key, status in ((None, 401), (ingest, 403), (read, 200)):
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            assert (await app.client.get("/v1/integrity", headers=headers)).status_code == status


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("targets: []", "length"),
        ("targets: [{name: a, path: fraud, key: k, trust: t}]", "one of key and trust"),
        ("targets: [{name: a/b, path: fraud, key: k}]", "targets[0].name"),
        ("targets: [{name: a, path: fraud, key: k, interval_secs: 1}]", "interval_secs"),
        ("targets: [{name: a, path: fraud, key: k, interval_seconds: yes}]", "targets[0].interval_seconds"),
        ("targets: [{name: a, path: fraud, key: k, interval_seconds: .nan}]", "interval_seconds"),
        ("targets: [{name: a, path: fraud, key: missing}]", "missing cannot be read"),
        ("targets: [{name: a, path: fraud, key: release.pub, max_age_seconds: 1}]", "max_age_seconds"),
        ("targets: [{name: a, path: /, key: release.pub}]", "whole file system"),
        (
            "targets: [{name: a, path: x, key: release.pub}, {name: a, path: y, key: release.pub}]",
            "twice",
        ),
        ("targets: [", "not YAML"),
    ],
)
def test_a_file_of_targets_that_cannot_be_meant_is_refused_at_start(model: Model, text: str, said: str) -> None:
    file = model.keys / "integrity.yaml"
    file.write_text(text)
    with pytest.raises(InvalidConfiguration, match=r"integrity\.yaml") as refused:
        read_targets(file)
    assert said in str(refused.value)
