"""State that an earlier release has written goes on in this one, and both may work side by side on one store."""

from pathlib import Path

import pytest

from tests.integration.store.senders import WINDOW, register, verdicts, windows_of
from tests.processes.earlier_releases import ARCHIVES, unpacked
from tests.processes.fixtures import MakeService, MakeStore
from tests.processes.traffic import numbered
from tests.processes.waiting import eventually
from tests.soak.upgrade import upgrade

archives = pytest.mark.parametrize("archive", ARCHIVES, ids=lambda file: file.name.removesuffix(".tar.xz"))


def test_there_are_earlier_releases() -> None:
    assert len(ARCHIVES) >= 2


@archives
def test_what_an_earlier_release_judged_is_continued_after_it_was_killed(
    archive: Path, make_store: MakeStore, make_service: MakeService, tmp_path: Path
) -> None:
    store = make_store()
    earlier = make_service("serve", DRIFT_STORE__URL=store.url, **unpacked(archive, tmp_path))
    current = make_service("serve", DRIFT_STORE__URL=store.url)
    batch = {"json": {"rows": numbered(0, WINDOW + 20)}, "headers": {"Idempotency-Key": "a batch of both"}}
    earlier.start()
    with earlier.client() as client:
        register(client)
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


@archives
def test_releases_side_by_side_judge_each_window_once_and_refuse_nothing(
    archive: Path, make_store: MakeStore, make_service: MakeService, tmp_path: Path
) -> None:
    (refused,) = upgrade(make_store, make_service, unpacked(archive, tmp_path), batches=400)
    assert refused.is_kept
