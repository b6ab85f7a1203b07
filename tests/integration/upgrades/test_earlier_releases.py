"""State that an earlier release has written goes on in this one, and both may work side by side on one store."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.replicas.fleet import metrics
from tests.integration.store.senders import WINDOW, register, verdicts, windows_of
from tests.processes.earlier_releases import ARCHIVES, unpacked
from tests.processes.fixtures import MakeService, MakeStore
from tests.processes.services import environment
from tests.processes.traffic import EARLIER_PLAN, numbered, payload, rows
from tests.processes.waiting import eventually
from tests.soak.upgrade import upgrade

SETTINGS = {"DRIFT_EVALUATION__POLL_SECONDS": "0.1"}


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda file: file.name.removesuffix(".tar.xz"))
def earlier_release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Settings by which a process runs it."""
    return unpacked(request.param, tmp_path_factory.mktemp("earlier"))


def test_what_runs_is_the_earlier_release(earlier_release: Mapping[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import detectors, service; print(detectors.__file__, service.__file__)"]
    changed = {**environment(), **earlier_release}
    answer = subprocess.run(command, env=changed, cwd=tmp_path, check=True, capture_output=True, text=True)
    files = answer.stdout.split()
    assert len(files) == 2
    assert all(file.startswith(earlier_release["PYTHONPATH"]) for file in files)


def test_what_an_earlier_release_judged_is_continued_after_it_was_killed(
    earlier_release: Mapping[str, str], make_store: MakeStore, make_service: MakeService
) -> None:
    store = make_store()
    earlier = make_service("serve", DRIFT_STORE__URL=store.url, **SETTINGS, **earlier_release)
    current = make_service("serve", DRIFT_STORE__URL=store.url, **SETTINGS)
    batch = {"json": {"rows": numbered(0, WINDOW + 20)}, "headers": {"Idempotency-Key": "a batch of both"}}
    earlier.start()
    with earlier.client() as client:
        register(client, plan=EARLIER_PLAN)
        client.post("/v1/models/churn/observations", **batch).raise_for_status()
        windows_of(client, 1)
        eventually(lambda: verdicts(client)[0]["action"]["outcome"], "the action is delivered")
        before = verdicts(client)[0]
    earlier.kill()
    current.start()
    with current.client() as client:
        after = verdicts(client)[0]
        assert {name: after[name] for name in before} == before
        client.post("/v1/models/churn/observations", **batch).raise_for_status()
        following = {"rows": numbered(WINDOW + 20, WINDOW - 20)}
        client.post("/v1/models/churn/observations", json=following).raise_for_status()
        assert windows_of(client, 2)[1]["batches"] == 2
        with store.client() as direct:
            eventually(lambda: direct.xlen("driftwarden:{churn}:deliveries") == 2, "its action too, and no other")


def test_releases_side_by_side_judge_each_window_once_and_refuse_nothing(
    earlier_release: Mapping[str, str], make_store: MakeStore, make_service: MakeService
) -> None:
    (refused,) = upgrade(make_store, make_service, earlier_release, batches=400)
    assert refused.is_kept


def test_summaries_are_refused_by_name_by_a_release_that_knows_rows_only(
    make_store: MakeStore, make_service: MakeService, tmp_path: Path
) -> None:
    """It would pass `keep` over, and count every summary as a misfit: so none of it is in a format that it reads."""
    store = make_store()
    settings = {"DRIFT_STORE__URL": store.url, **SETTINGS}
    earlier = make_service("serve", **settings, **unpacked(ARCHIVES[-1], tmp_path))
    current = make_service("serve", "--ingest-only", **settings)
    current.start()
    with current.client() as client:
        register(client, plan={**EARLIER_PLAN, "window": {"rows": WINDOW, "keep": "summaries"}})
        for seed in range(4):
            answer = client.post("/v1/models/churn/observations", json=payload(rows(seed, WINDOW // 2)))
            assert answer.status_code == 200, answer.text
        earlier.start()
        with earlier.client() as older:
            register(older, "healthy", EARLIER_PLAN)
            older.post("/v1/models/healthy/observations", json=payload(rows(1, WINDOW))).raise_for_status()
            windows_of(older, 1, "healthy")
            refused = older.post("/v1/models/churn/observations", json=payload(rows(1, 1)))
            assert "of format 2, which a newer release wrote" in refused.json()["detail"]
        failures = 'driftwarden_evaluation_failures_total{error="CorruptedState",model="churn"}'
        eventually(lambda: failures in metrics(earlier), "it says that it cannot judge the model")
        assert verdicts(client) == []
        earlier.stop()
        worker = make_service("worker", **settings)
        worker.start()
        found = eventually(lambda: len(verdicts(client)) == 2 and verdicts(client), "this release judges it")
    assert [(each["rows"], each["misfits"]) for each in found] == [(WINDOW, 0)] * 2
