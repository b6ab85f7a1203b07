"""What was acknowledged is there after service and store were killed together (the long form is `make soak`)."""

import os
import shutil
import signal

import pytest

from tests.integration.store.rows import distinct_rows
from tests.integration.store.senders import acknowledged, register, sending
from tests.processes.fixtures import MakeService, MakeStore
from tests.processes.waiting import eventually
from tests.soak.disk_order import STRACE_WANTED
from tests.soak.survival import survive


@pytest.mark.parametrize(("flavour", "level"), [("valkey", "fsync"), ("redis", "log")])
def test_acknowledged_batches_survive_kills_of_service_and_store(
    make_store: MakeStore, make_service: MakeService, flavour: str, level: str
) -> None:
    survive(make_store, make_service, flavour=flavour, level=level, kills=3, batches=600, senders=4)


@pytest.mark.skipif(shutil.which("strace") is None, reason=STRACE_WANTED)
def test_a_store_that_is_killed_while_its_disk_is_busy_loses_nothing_at_appendfsync_always(
    make_store: MakeStore, make_service: MakeService
) -> None:
    """At `everysec` it would: what was acknowledged is held back until the sync is over (docs/operations.md)."""
    store = make_store("valkey", "--appendfsync", "always")
    service = make_service("serve", "--ingest-only", DRIFT_STORE__URL=store.url, DRIFT_STORE__ACKNOWLEDGE="fsync")
    service.start()
    with service.client() as client:
        register(client)
    store.kill()
    slow = ("-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=200000")  # microseconds
    store.wrapper = ("strace", "-f", "-qq", "-o", os.devnull, *slow)
    store.start()
    with store.client() as direct:
        server = int(direct.info("server")["process_id"])
    with sending(lambda: service, senders=4, batches=25, rows_each=1) as senders:
        eventually(lambda: acknowledged(senders) > 20, "batches are acknowledged")
        os.kill(server, signal.SIGKILL)
        store.kill()
        before = acknowledged(senders)
        store.wrapper = ()
        store.start()
        with store.client() as direct:
            assert len(distinct_rows(direct)) >= before
    with store.client() as direct:
        assert sorted(distinct_rows(direct)) == [float(number) for number in range(100)]
