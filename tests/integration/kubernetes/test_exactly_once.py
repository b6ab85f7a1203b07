"""Replicas die anywhere while the API server fails in every way: one Job for one drift event (long: `make soak`)."""

from pathlib import Path

from tests.cluster.control_plane import ControlPlane
from tests.processes.fixtures import MakeService, MakeStore
from tests.soak.retraining import retrain_through_faults

ROUNDS = 4


def test_every_drift_event_becomes_one_job_whoever_is_killed_when_and_whatever_the_api_server_does(
    make_store: MakeStore, make_service: MakeService, control_plane: ControlPlane, tmp_path: Path
) -> None:
    found = retrain_through_faults(make_service, make_store(), control_plane, tmp_path, ROUNDS, seed=1, latest=300)
    assert (found.rounds, found.not_one_job, found.not_one_entry) == (ROUNDS, 0, 0)
    assert found.kills >= 1
    assert len(found.befallen) > 1
