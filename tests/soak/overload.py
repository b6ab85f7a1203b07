"""Four times what there is room for, for minutes; and a model that floods beside one that does not."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.integration.store.senders import register
from tests.processes.flood import Flood, flooding_client, resident_bytes
from tests.processes.proxy import proxy_to
from tests.processes.services import ServiceProcess
from tests.processes.stores import StoreServer
from tests.soak.figures import Figure, highest, percentile

ROOM_FOR = 16
ROOM = {"DRIFT_HTTP__MAX_REQUESTS": str(ROOM_FOR), "DRIFT_HTTP__MAX_BYTES_UNDER_WAY": str(2**20)}
OVERLOAD = 4 * ROOM_FOR
"""Senders at once: four times as many as there is room for."""
LIMIT_MIB = 1024
"""Of the container (deploy/kustomize/base/deployment.yaml); promised is a fifth less."""
STORE_SECONDS = 0.05
"""How long the store takes to answer while it is flooded."""
STEADY_A_SECOND = 25


def overload(
    make_store: Callable[..., StoreServer], make_service: Callable[..., ServiceProcess], *, seconds: float
) -> list[Figure]:
    """Refused in words, in bounded memory, and over as soon as the flood is.

    The store answers after a while, so that what the service can take is less than is sent, on any machine.
    """
    return asyncio.run(_overload(make_store().port, make_service, seconds))


async def _overload(port: int, make_service: Callable[..., ServiceProcess], seconds: float) -> list[Figure]:
    async with proxy_to(port) as proxy:
        proxy.delay_seconds = STORE_SECONDS / 2
        service = await asyncio.to_thread(_started, proxy.port, make_service, "churn")
        return await _flooded(service, seconds)


async def _flooded(service: ServiceProcess, seconds: float) -> list[Figure]:
    async with flooding_client(service, 2 * OVERLOAD) as client:
        calm = await _for_a_while(Flood(client, "churn"), min(10.0, seconds / 4))
        flood = Flood(client, "churn")
        resident = []
        async with _sending(flood, OVERLOAD):
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                await asyncio.sleep(0.5)  # a sampling period
                resident.append(resident_bytes(service.pid) / 2**20)
        recovery = await _recovery(Flood(client, "churn"), percentile(calm.seconds, 0.99))
    assert set(flood.answers) <= {200, 429, 503}, flood.answers
    assert flood.answers[429] + flood.answers[503] > 0, "it was no overload"
    assert flood.without_retry_after == 0
    return [
        Figure(
            "R4",
            f"acknowledged a second, of {flood.answers.total() / seconds:.0f}",
            flood.answers[200] / seconds,
            "1/s",
        ),
        Figure("R4", "sent on a connection that was just closed", flood.unanswered, "requests"),
        Figure("R4", "p99 of the acknowledged", percentile(flood.seconds, 0.99), "s", at_most=1.0),
        Figure("R4", "largest resident size", highest(resident), "MiB", at_most=0.8 * LIMIT_MIB),
        Figure("R4", "until answers are as quick as before", recovery, "s", at_most=10.0),
    ]


async def _recovery(flood: Flood, usual: float) -> float:
    """Until ten in a row are acknowledged, none in more than twice what was usual at worst."""
    began, in_a_row = time.perf_counter(), 0
    while in_a_row < 10:
        before = flood.answers[200]
        await flood.post()
        good = flood.answers[200] > before and flood.seconds[-1] <= 2 * usual
        in_a_row = in_a_row + 1 if good else 0
        assert time.perf_counter() < began + 120, "not within two minutes"
    return time.perf_counter() - began


def fairness(
    make_store: Callable[..., StoreServer], make_service: Callable[..., ServiceProcess], *, seconds: float
) -> list[Figure]:
    """One model at a steady pace: alone, beside one with ten times its traffic, beside one that takes what it gets."""
    service = _started(make_store().port, make_service, "steady", "flood")
    return asyncio.run(_fairness(service, seconds))


async def _fairness(service: ServiceProcess, seconds: float) -> list[Figure]:
    async with flooding_client(service, 4 * OVERLOAD) as client:
        alone = await _for_a_while(Flood(client, "steady"), seconds)
        tenfold, flood = Flood(client, "flood"), Flood(client, "flood")
        async with _sending(tenfold, 1, pace=10 * STEADY_A_SECOND):
            beside = await _for_a_while(Flood(client, "steady"), seconds)
        async with _sending(flood, OVERLOAD):
            drowned = await _for_a_while(Flood(client, "steady"), seconds)
    usual = percentile(alone.seconds, 0.99)
    figures = []
    for name, found, bound in (("ten times its traffic", beside, 2.0), ("a flood without end", drowned, None)):
        ratio = percentile(found.seconds, 0.99) / usual
        figures += [
            Figure("R5", f"not acknowledged beside {name}", _share_refused(found.answers), "share", at_most=0.01),
            Figure("R5", f"p99 beside {name}, over that alone ({1000 * usual:.1f} ms)", ratio, "ratio", at_most=bound),
        ]
    return figures


def _share_refused(answers: Counter[int]) -> float:
    return 1 - answers[200] / answers.total()


def _started(port: int, make_service: Callable[..., ServiceProcess], *models: str) -> ServiceProcess:
    settings = {"DRIFT_STORE__URL": f"redis://127.0.0.1:{port}", "DRIFT_STORE__MAX_WAITING_BATCHES": "10000000"}
    service = make_service("serve", "--ingest-only", **settings, **ROOM)
    service.start()
    with service.client() as client:
        for model in models:
            register(client, model)
    return service


async def _for_a_while(flood: Flood, seconds: float) -> Flood:
    async with _sending(flood, 1, pace=STEADY_A_SECOND):
        await asyncio.sleep(seconds)
    return flood


@asynccontextmanager
async def _sending(flood: Flood, senders: int, pace: float | None = None) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(senders):
            tasks.create_task(flood.send() if pace is None else flood.send_at_a_pace(pace))
        yield
        flood.stopped = True
