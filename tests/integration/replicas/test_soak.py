"""Half a minute of what `make soak` does for hours."""

from tests.processes.fixtures import MakeService, MakeStore
from tests.soak.steady_load import soak


def test_under_steady_load_memory_files_and_threads_stay_where_they_are(
    make_store: MakeStore, make_service: MakeService
) -> None:
    soak(make_service, make_store("valkey", "--appendfsync", "always"), minutes=0.4, fault_seconds=8)
