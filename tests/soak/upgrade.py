"""Two processes of an earlier release are replaced one by one, under load, and one of them is put back again."""

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from redis import Redis

from tests.integration.store.rows import distinct_rows, windows
from tests.integration.store.senders import WINDOW, Sender, acknowledged, register, sending, windows_of
from tests.processes.services import ServiceProcess
from tests.processes.stores import StoreServer
from tests.processes.traffic import EARLIER_PLAN
from tests.processes.waiting import eventually_all
from tests.soak.figures import Figure

SETTINGS = {
    "DRIFT_STORE__KEPT_BATCHES": "90000",
    "DRIFT_EVALUATION__POLL_SECONDS": "0.1",
}
"""What every release knows."""
SENDERS, ROWS_EACH = 4, 5
NEW, OLD = "new", "old"
STEPS = ((0, NEW), (1, NEW), (0, OLD), (0, NEW))
"""Which of the two is replaced, and by what: forward, one step back, forward again."""


def upgrade(
    make_store: Callable[..., StoreServer],
    make_service: Callable[..., ServiceProcess],
    earlier: Mapping[str, str],
    *,
    batches: int,
) -> list[Figure]:
    """`earlier`: settings by which a process runs the earlier release."""
    store = make_store()
    settings = {"DRIFT_STORE__URL": store.url, **SETTINGS}

    def started(release: str) -> ServiceProcess:
        service = make_service("serve", **settings, **(earlier if release == OLD else {}))
        service.start()
        return service

    serving = [started(OLD), started(OLD)]
    with serving[0].client() as client:
        register(client, plan=EARLIER_PLAN)
    said: list[str] = []
    each = batches // SENDERS
    with sending(lambda: random.choice(serving), SENDERS, each, ROWS_EACH) as senders:  # noqa: S311
        for step, (index, release) in enumerate(STEPS):
            share = (step + 1) * batches // (len(STEPS) + 1)
            eventually_all(lambda: acknowledged(senders), share, "batches are acknowledged")
            leaving = serving[index]
            serving[index] = serving[1 - index]  # taken from the balancer first, as Kubernetes does
            assert leaving.stop() == 0
            said.append(leaving.said())
            serving[index] = started(release)
        eventually_all(lambda: acknowledged(senders), each * SENDERS, "batches are acknowledged")
    with serving[0].client() as client, store.client() as direct:
        _check(direct, windows_of(client, each * SENDERS * ROWS_EACH // WINDOW), each * SENDERS * ROWS_EACH)
    for service in serving:
        service.stop()
        said.append(service.said())
    assert not [text for text in said if "Traceback" in text]
    return [_refused(senders)]


def _refused(senders: Sequence[Sender]) -> Figure:
    statuses = Counter(answer.status_code for sender in senders for answer in sender.refusals)
    assert set(statuses) <= {503}, statuses
    total = acknowledged(senders) + statuses.total()
    return Figure(
        "R15", f"refused while releases changed, of {total} requests", statuses.total() / total, "share", 0.001
    )


def _check(direct: Redis, found: Sequence[object], rows: int) -> None:
    """Each window judged once and cut as one process would have cut it, each row in one, each action delivered once."""
    assert sorted(distinct_rows(direct)) == [float(number) for number in range(rows)]
    committed = [json.loads(fields[b"v"]) for _, fields in direct.xrange("driftwarden:{churn}:verdicts")]
    assert [each["number"] for each in committed] == list(range(1, len(found) + 1))
    cursors = [(each["cursor"]["position"], each["cursor"]["offset"]) for each in committed]
    assert cursors == list(windows(direct, WINDOW, 3))
    wanted = [each["action"]["name"] for each in committed if each["action"]]
    assert wanted

    def delivered() -> list[str]:
        entries = direct.xrange("driftwarden:{churn}:deliveries")
        return [json.loads(fields[b"d"])["receipt"]["name"] for _, fields in entries]

    eventually_all(lambda: len(delivered()), len(wanted), "actions are delivered")
    assert delivered() == wanted, "every action is delivered once, in order"
