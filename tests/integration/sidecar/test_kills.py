"""Whatever is killed or cut off between a sidecar and the central service, every acknowledged row counts once."""

import asyncio
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from redis.exceptions import RedisError

from tests.integration.service.test_windows import batch, judged, measured, put_under_watch, statistics
from tests.integration.sidecar.chain import SUMMARIES, Chain, a_chain, accepted, post
from tests.integration.store.rows import distinct_rows
from tests.processes.proxy import Proxy, proxy_to
from tests.processes.services import ServiceProcess
from tests.processes.stores import free_port
from tests.processes.traffic import numbered, payload, rows
from tests.processes.waiting import eventually

BATCHES, ROWS = 240, 10


@dataclass
class Sender(threading.Thread):
    """Sends its batches to one sidecar, each under its own name until it is acknowledged."""

    sidecar: ServiceProcess
    bodies: Sequence[tuple[str, str, dict[str, Any]]]
    """Model, name and body of each."""
    acknowledged: int = 0
    refused: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        with httpx.Client(timeout=30, trust_env=False) as client:
            for model, name, body in self.bodies:
                eventually(lambda m=model, n=name, b=body: self._send(client, m, n, b), f"{name} is acknowledged")
                self.acknowledged += 1

    def _send(self, client: httpx.Client, model: str, name: str, body: dict[str, Any]) -> bool:
        client.base_url = self.sidecar.url
        try:
            answer = post(client, model, body, name)
        except httpx.TransportError:
            return False
        if answer.status_code != 200:
            self.refused.append(answer.status_code)
        return answer.status_code == 200


@contextmanager
def cuttable(port: int) -> Iterator[tuple[Proxy, Callable[[], None]]]:
    """A proxy on a loop of its own, and what cuts all of its connections."""
    loop, ready, ended = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    found: list[Proxy] = []

    async def run() -> None:
        async with proxy_to(port) as proxy:
            found.append(proxy)
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    ready.wait()
    try:
        yield found[0], lambda: asyncio.run_coroutine_threadsafe(found[0].cut(), loop).result(30)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def disturb(chain: Chain, cut: Callable[[], None], senders: Sequence[Sender], seed: int) -> None:
    """At places in the traffic that chance names: kills of every process, cuts, and a sidecar's store alone."""
    chance = random.Random(seed)  # noqa: S311 - not a secret
    total = sum(len(sender.bodies) for sender in senders)

    def again(service: ServiceProcess) -> None:
        service.kill()
        service.start()

    def store_of_a_sidecar() -> None:
        with chain.sidecars[0].embedded_server() as direct:
            process = int(direct.info("server")["process_id"])
        os.kill(process, signal.SIGKILL)

    doings = [lambda: again(chain.central), lambda: again(chain.sidecars[0]), lambda: again(chain.sidecars[1])]
    doings = [*doings, cut, cut, store_of_a_sidecar, lambda: again(chain.central), lambda: again(chain.sidecars[0])]
    places = sorted(chance.sample(range(total // 20, total), len(doings)))
    chance.shuffle(doings)
    for place, doing in zip(places, doings, strict=True):
        eventually(lambda place=place: sum(sender.acknowledged for sender in senders) >= place, "traffic goes on")
        doing()


def test_every_acknowledged_row_counts_once_though_everything_is_killed(tmp_path: Path) -> None:
    values, port = rows(5, BATCHES * ROWS), free_port()
    seconds = np.arange(len(values)) * 1.0
    parts = np.split(np.random.default_rng(6).permutation(len(values)), BATCHES)
    sent: list[list[tuple[str, str, dict[str, Any]]]] = [[], []]
    for number, some in enumerate(parts):
        sent[number % 2].append(("summed", f"batch {number}", batch(values[some], seconds[some])))
        sent[number % 2].append(("churn", f"batch {number}", payload(numbered(number * ROWS, ROWS))))
    with cuttable(port) as (proxy, cut), a_chain(tmp_path, 2, f"http://127.0.0.1:{proxy.port}", port) as chain:
        chain.start()
        with chain.central.client() as client:
            put_under_watch(client, "summed", SUMMARIES)
            put_under_watch(client, "churn", {"rows": 100})
        senders = [Sender(sidecar, bodies) for sidecar, bodies in zip(chain.sidecars, sent, strict=True)]
        for sender in senders:
            sender.start()
        disturb(chain, cut, senders, seed=11)
        for sender in senders:
            sender.join(120)
            assert sender.acknowledged == len(sender.bodies)
            assert set(sender.refused) <= {503}  # while its store is started again
        intervals = seconds // 600
        expected = [values[intervals == number] for number in np.unique(intervals)]
        with chain.central.client() as client, chain.central.embedded_server() as direct:
            eventually(lambda: len(distinct_rows(direct)) == len(values), "every row is in the central log")
            assert sorted(distinct_rows(direct)) == [float(number) for number in range(len(values))]
            assert {each["rows"] for each in judged(client, "churn", len(values) // 100)} == {100}
            nothing_waits(chain)
            accepted(client, "summed", batch(values[:1], np.array([9600.0])), "closing")
            found = judged(client, "summed", len(expected))
        assert [each["rows"] for each in found] == [len(window) for window in expected]
        assert measured(found) == statistics(expected)


def nothing_waits(chain: Chain) -> None:
    """Until each sidecar's store says that its log is forwarded to the end."""
    for sidecar in chain.sidecars:
        eventually(lambda sidecar=sidecar: everything_is_forwarded(sidecar), "everything is forwarded")


def everything_is_forwarded(sidecar: ServiceProcess) -> bool:
    with sidecar.embedded_server() as direct:
        try:
            for model in ("summed", "churn"):
                newest = direct.xrevrange(f"driftwarden:{{{model}}}:observations", count=1)
                progress = direct.get(f"driftwarden:{{{model}}}:forwarded") or b""
                if newest and b'"done":{"position":"' + newest[0][0] + b'","offset":0}' not in progress:
                    return False
        except (RedisError, OSError):  # it was killed, and is started again
            return False
    return True
