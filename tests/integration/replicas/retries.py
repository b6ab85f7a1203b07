"""A client that sends every batch one to five times at the same time, anywhere, until one of them is acknowledged."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from tests.processes.services import ServiceProcess
from tests.processes.traffic import numbered


@dataclass
class RetryingClient:
    """Several batches are under way at once."""

    services: Sequence[ServiceProcess]
    model: str
    rows_each: int
    at_once: int = 6
    sent: int = 0
    acknowledged: set[int] = field(default_factory=set)

    def send(self, batches: range, seed: int) -> None:
        asyncio.run(self._send(batches, random.Random(seed)))  # noqa: S311 - not a secret

    async def _send(self, batches: range, chance: random.Random) -> None:
        waiting = iter(batches)
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client, asyncio.TaskGroup() as tasks:
            for _ in range(self.at_once):
                tasks.create_task(self._take_turns(client, waiting, chance))

    async def _take_turns(self, client: httpx.AsyncClient, waiting, chance: random.Random) -> None:
        for number in waiting:
            while number not in self.acknowledged:
                copies = chance.randint(1, 5)
                await asyncio.gather(*(self._post(client, number, chance.choice(self.services)) for _ in range(copies)))
                await asyncio.sleep(0)

    async def _post(self, client: httpx.AsyncClient, number: int, service: ServiceProcess) -> None:
        self.sent += 1
        try:
            answer = await client.post(
                f"{service.url}/v1/models/{self.model}/observations",
                json={"rows": numbered(number * self.rows_each, self.rows_each)},
                headers={"Idempotency-Key": f"batch {number}"},
            )
        except httpx.TransportError:
            await asyncio.sleep(0.02)
            return
        if answer.status_code == 200:
            self.acknowledged.add(number)
