"""What was acknowledged is there after service and store were killed together (the long form is `make soak`)."""

import pytest

from tests.processes.fixtures import MakeService, MakeStore
from tests.soak.survival import survive


@pytest.mark.parametrize(("flavour", "level"), [("valkey", "log"), ("redis", "fsync")])
def test_acknowledged_batches_survive_kills_of_service_and_store(
    make_store: MakeStore, make_service: MakeService, flavour: str, level: str
) -> None:
    survive(make_store, make_service, flavour=flavour, level=level, kills=3, batches=600, senders=4)
