"""Workers die at random places of their cycle (the long form is `make soak`)."""

from pathlib import Path

from tests.processes.fixtures import MakeService, MakeStore
from tests.soak.crash_points import die_at_random_places

LIVES = 30


def test_workers_that_die_anywhere_judge_every_window_once_and_deliver_every_action_once(
    make_store: MakeStore, make_service: MakeService, tmp_path: Path
) -> None:
    die_at_random_places(make_service, make_store(), tmp_path, LIVES, seed=1)
