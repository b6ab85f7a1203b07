"""Senders that come again as soon as they are answered, or at a pace of their own; and what they were answered."""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path

import httpx

from tests.processes.services import ServiceProcess
from tests.processes.traffic import payload, rows

BATCH = json.dumps(payload(rows(1, 50))).encode()
JSON = {"Content-Type": "application/json"}
REFUSED = frozenset({429, 503})


class Flood:
    """Of one model; every refusal must be a problem document that says when to come again."""

    def __init__(self, client: httpx.AsyncClient, model: str) -> None:
        self._client = client
        self._path = f"/v1/models/{model}/observations"
        self.answers: Counter[int] = Counter()
        self.seconds: list[float] = []
        """That the acknowledged ones took."""
        self.without_retry_after = 0
        self.unanswered = 0
        """Sent on a connection that the server was just closing, because it had been idle."""
        self.stopped = False

    async def send(self) -> None:
        """Until it is stopped, one request after another."""
        while not self.stopped:
            if await self.post() in REFUSED:
                await asyncio.sleep(0.02)

    async def send_at_a_pace(self, each_second: float) -> None:
        """Until it is stopped, so many a second, however long the answers take."""
        following = time.perf_counter()
        async with asyncio.TaskGroup() as under_way:
            while not self.stopped:
                under_way.create_task(self.post())
                following += 1 / each_second
                await asyncio.sleep(max(0.0, following - time.perf_counter()))

    async def post(self) -> int:
        began = time.perf_counter()
        try:
            answer = await self._client.post(self._path, content=BATCH, headers=JSON)
        except httpx.TransportError:
            self.unanswered += 1
            return 0
        self.answers[answer.status_code] += 1
        if answer.status_code == 200:
            self.seconds.append(time.perf_counter() - began)
        if answer.status_code in REFUSED:
            self.without_retry_after += int(answer.headers.get("retry-after", "0")) < 1
            assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code


def flooding_client(service: ServiceProcess, connections: int) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=2)
    return httpx.AsyncClient(base_url=service.url, timeout=60, trust_env=False, limits=limits)


def resident_bytes(process: int) -> int:
    """0 if it has ended."""
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        return 0
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmRSS"))
