"""Every way in which a store can fail, each for a while, under load: refused and told in time, mended by itself."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.integration.store.rows import distinct_rows
from tests.integration.store.senders import register
from tests.processes.proxy import Proxy, proxy_to
from tests.processes.services import ServiceProcess
from tests.processes.small_disk import fill
from tests.processes.stores import StoreServer, free_port
from tests.processes.traffic import numbered
from tests.processes.waiting import eventually_async
from tests.soak.figures import Figure, highest

SLOW_SECONDS = 3.0
"""Each way: more than the service waits for a store."""
REFUSED_WITHIN, UNREADY_WITHIN, READY_WITHIN = 2.0, 5.0, 5.0
Step = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to the store, and how it is undone."""

    name: str
    begin: Step
    end: Step


def faults_of(store: StoreServer, proxy: Proxy, filler: Path | None) -> list[Fault]:
    """`filler`: a file on the store's disk, if that is one that may be filled."""

    def slow(seconds: float) -> None:
        proxy.delay_seconds = seconds

    async def swallow() -> None:
        proxy.swallow()

    def ask(*command: object) -> Step:
        def asked() -> None:
            with store.client() as direct:
                direct.execute_command(*command)

        return in_thread(asked)

    def killed() -> None:
        # It may hold back what it has acknowledged while its disk is busy; that is another promise (survival.py).
        with store.client() as direct:
            direct.config_set("appendfsync", "always")
            direct.ping()
        store.kill()

    faults = [
        Fault("down", in_thread(killed), in_thread(store.start)),
        Fault("hanging", in_thread(store.pause), in_thread(store.resume)),
        Fault("half open", swallow, proxy.cut),
        Fault("slow", in_thread(lambda: slow(SLOW_SECONDS)), in_thread(lambda: slow(0.0))),
        Fault("full", ask("CONFIG", "SET", "maxmemory", "1mb"), ask("CONFIG", "SET", "maxmemory", "0")),
        Fault("read-only", ask("REPLICAOF", "127.0.0.1", free_port()), ask("REPLICAOF", "NO", "ONE")),
    ]
    if filler is not None:
        faults.append(Fault("on a full disk", in_thread(lambda: fill(filler)), in_thread(filler.unlink)))
    return faults


def in_thread(work: Callable[[], object]) -> Step:
    """The proxy's event loop must not wait for it."""

    async def step() -> None:
        await asyncio.to_thread(work)

    return step


@dataclass
class Watch:
    """What callers and the kubelet see: batches one after another, and /readyz."""

    client: httpx.AsyncClient
    numbers: itertools.count = field(default_factory=itertools.count)  # type: ignore[type-arg]
    acknowledged: set[float] = field(default_factory=set)
    refusals: list[float] = field(default_factory=list)
    """How long each took, in seconds."""
    readiness: list[tuple[float, bool]] = field(default_factory=list)
    fault_since: float = 0.0
    stopped: bool = False

    async def send(self) -> None:
        while not self.stopped:
            number = next(self.numbers)
            await self._sent(number)
            await asyncio.sleep(0.02)

    async def _sent(self, number: int) -> None:
        began = time.perf_counter()
        body, key = {"rows": numbered(number, 1)}, {"Idempotency-Key": f"batch {number}"}
        answer = await self.client.post("/v1/models/churn/observations", json=body, headers=key)
        now = time.perf_counter()
        assert answer.status_code in {200, 503}, answer.text
        if answer.status_code == 200:
            self.acknowledged.add(float(number))
            return
        assert int(answer.headers["retry-after"]) > 0
        if began > self.fault_since:  # who came before has seen two faults, or part of one
            self.refusals.append(now - began)

    async def probe(self) -> None:
        while not self.stopped:
            answer = await self.client.get("/readyz")
            assert answer.status_code in {200, 503}, answer.text
            self.readiness.append((time.perf_counter(), answer.status_code == 200))
            assert (await self.client.get("/livez")).status_code == 200
            await asyncio.sleep(0.1)

    async def when_ready(self, wanted: bool, since: float) -> float:
        """Seconds from then to the first such answer."""
        while not (found := [at for at, ready in self.readiness if at > since and ready is wanted]):
            assert time.perf_counter() < since + 120, f"ready={wanted} was not seen within two minutes"
            await asyncio.sleep(0.02)
        return found[0] - since


def outages(
    store: StoreServer,
    make_service: Callable[..., ServiceProcess],
    *,
    seconds_each: float,
    filler: Path | None = None,
    **settings: str,
) -> list[Figure]:
    """One fault after another, each for so long, on one service that is never started again."""

    def make(port: int) -> ServiceProcess:
        url = f"redis://127.0.0.1:{port}"
        return make_service("serve", DRIFT_STORE__URL=url, DRIFT_STORE__KEPT_BATCHES="90000", **settings)

    return asyncio.run(_outages(store, make, seconds_each, filler))


async def _outages(
    store: StoreServer, make: Callable[[int], ServiceProcess], seconds_each: float, filler: Path | None
) -> list[Figure]:
    figures: list[Figure] = []
    async with proxy_to(store.port) as proxy:
        service = make(proxy.port)
        await asyncio.to_thread(service.start)
        with service.client() as client:
            await asyncio.to_thread(register, client)
        async with _watched(service) as watch:
            for fault in faults_of(store, proxy, filler):
                figures += await _one(fault, watch, seconds_each)
        assert service.is_running()
        assert await asyncio.to_thread(service.stop) == 0
    assert "Traceback" not in service.said()
    with store.client() as direct:
        lost = watch.acknowledged - set(distinct_rows(direct))
    return [
        *figures,
        Figure("R6", f"acknowledged and lost, of {len(watch.acknowledged)}", len(lost), "batches", at_most=0),
    ]


async def _one(fault: Fault, watch: Watch, seconds: float) -> list[Figure]:
    watch.refusals.clear()
    began = time.perf_counter()
    await fault.begin()
    watch.fault_since = time.perf_counter()
    unready = await watch.when_ready(wanted=False, since=began)
    await asyncio.sleep(max(0.0, began + seconds - time.perf_counter()))

    async def refused() -> bool:
        return bool(watch.refusals)

    async def taken() -> bool:
        return len(watch.acknowledged) > before

    await eventually_async(refused, f"batches are refused while the store is {fault.name}")
    await fault.end()
    before = len(watch.acknowledged)
    ready = await watch.when_ready(wanted=True, since=time.perf_counter())
    await eventually_async(taken, "batches are taken again")
    slowest = highest(watch.refusals)
    what = f"store {fault.name}:"
    return [
        Figure("R6", f"{what} slowest of {len(watch.refusals)} refusals", slowest, "s", at_most=REFUSED_WITHIN),
        Figure("R6", f"{what} until not ready", unready, "s", at_most=UNREADY_WITHIN),
        Figure("R6", f"{what} until ready after it was mended", ready, "s", at_most=READY_WITHIN),
    ]


@asynccontextmanager
async def _watched(service: ServiceProcess) -> AsyncIterator[Watch]:
    async with httpx.AsyncClient(base_url=service.url, timeout=60, trust_env=False) as client:
        watch = Watch(client)
        async with asyncio.TaskGroup() as tasks:
            for each in (watch.send, watch.send, watch.probe):
                tasks.create_task(each())
            yield watch
            watch.stopped = True
