"""Service and store are killed together, again and again, while batches are sent: what was acknowledged is there."""

import math
import random
from collections.abc import Callable

from tests.integration.store.rows import distinct_rows
from tests.integration.store.senders import acknowledged, register, sending
from tests.processes.services import ServiceProcess
from tests.processes.stores import StoreServer
from tests.processes.waiting import eventually_all
from tests.soak.figures import Figure

KEEP_ALL = {
    "DRIFT_STORE__KEPT_BATCHES": "99000",
    "DRIFT_STORE__RETAINED_BYTES": str(2**30),
    "DRIFT_STORE__MAX_WAITING_BATCHES": "250000",
}


def survive(
    make_store: Callable[..., StoreServer],
    make_service: Callable[..., ServiceProcess],
    *,
    flavour: str,
    level: str,
    appendfsync: str = "always",
    kills: int,
    batches: int,
    senders: int,
) -> list[Figure]:
    """Every kill is SIGKILL, at a random moment; every batch has one row, which says which it is.

    With `everysec` what is lost is said and not checked: while its disk is busy with a sync, a server holds back for up
    to two seconds what it has acknowledged already, and that is lost if it is killed just then.
    """
    store = make_store(flavour, "--appendfsync", appendfsync)
    service = make_service(DRIFT_STORE__URL=store.url, DRIFT_STORE__ACKNOWLEDGE=level, **KEEP_ALL)
    service.start()
    with service.client() as client:
        register(client)
    each, draw = batches // senders, random.Random(7)  # noqa: S311 - when it is killed is no secret
    with sending(lambda: service, senders, each, rows_each=1) as sent:
        for kill in range(kills):
            wanted = batches * (kill + draw.random()) / (kills + 1)
            eventually_all(lambda: acknowledged(sent), math.ceil(wanted), "batches are acknowledged")
            for victim in draw.sample([service, store], 2):
                victim.kill()
            store.start()
            service.start(timeout_s=120)
        eventually_all(lambda: acknowledged(sent), each * senders, "batches are acknowledged")
        refused = sum(sender.broken_connections + len(sender.refusals) for sender in sent)
    with store.client() as direct:
        found = distinct_rows(direct)
    missing = set(map(float, range(each * senders))) - set(found)
    promised = appendfsync == "always"
    assert not (promised and missing), f"acknowledged and lost: {sorted(missing)[:5]}"
    assert len(found) == each * senders - len(missing), "something is in the log that was not sent"
    what = f"{flavour}, {level}, appendfsync {appendfsync}, {kills} kills of service and store"
    lost_at_most = 0 if promised else None
    return [
        Figure("R1", f"batches acknowledged, {what}", each * senders, "batches"),
        Figure("R1", f"attempts that were refused or cut off, {what}", refused, "requests"),
        Figure("R1", f"acknowledged and lost, {what}", len(missing), "batches", at_most=lost_at_most),
    ]
