"""Senders that go on until a batch is acknowledged, as the inference pods do, and what they were told."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.processes.services import ServiceProcess
from tests.processes.traffic import SMALL_PLAN, numbered, reference
from tests.processes.waiting import eventually, eventually_all

WINDOW = 50


def register(client: httpx.Client, model: str = "churn", plan: dict[str, Any] | None = None) -> None:
    """Put a model under watch; asked again, as the answer says, where a store with little time was too busy."""
    for path, body in (("reference", reference()), ("plan", plan or SMALL_PLAN)):

        def registered(path: str = path, body: dict[str, Any] = body) -> bool:
            answer = client.put(f"/v1/models/{model}/{path}", json=body)
            assert answer.status_code in {200, 503}, answer.text
            return answer.status_code == 200

        eventually(registered, f"the {path} of {model} is registered")


def verdicts(client: httpx.Client, model: str = "churn") -> list[dict[str, Any]]:
    """All of them, oldest first; an error of the service is an empty list."""
    try:
        answer = client.get(f"/v1/models/{model}/verdicts", params={"limit": 1000})
    except httpx.TransportError:
        return []
    return list(reversed(answer.json()["verdicts"])) if answer.status_code == 200 else []


def windows_of(client: httpx.Client, count: int, model: str = "churn") -> list[dict[str, Any]]:
    """Exactly so many verdicts, once they are there."""
    eventually_all(lambda: len(verdicts(client, model)), count, f"verdicts of {model}")
    found = verdicts(client, model)
    assert [each["number"] for each in found] == list(range(1, count + 1))
    assert [each["first_row"] for each in found] == [WINDOW * index for index in range(count)]
    assert {each["rows"] for each in found} == {WINDOW}
    return found


@dataclass
class Sender(threading.Thread):
    """Sends numbered batches one after another, each under its own key until it is acknowledged."""

    choose: Callable[[], ServiceProcess]
    """Where the next request goes."""
    first: int
    batches: int
    rows_each: int
    acknowledged: int = 0
    refusals: list[httpx.Response] = field(default_factory=list)
    broken_connections: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        with httpx.Client(timeout=30, trust_env=False) as client:
            for index in range(self.batches):
                start = self.first + index * self.rows_each
                while not self.stopped.is_set() and not self._send(client, start):
                    self.stopped.wait(0.02)

    def _send(self, client: httpx.Client, start: int) -> bool:
        try:
            answer = client.post(
                f"{self.choose().url}/v1/models/churn/observations",
                json={"rows": numbered(start, self.rows_each)},
                headers={"Idempotency-Key": f"rows from {start}"},
            )
        except httpx.TransportError:
            self.broken_connections += 1
            return False
        if answer.status_code != 200:
            self.refusals.append(answer)
            return False
        self.acknowledged += 1
        return True


@contextmanager
def sending(
    choose: Callable[[], ServiceProcess], senders: int, batches: int, rows_each: int = 5
) -> Iterator[Sequence[Sender]]:
    """Run all of them; at the end every batch is acknowledged, or the test fails."""
    started = [Sender(choose, number * batches * rows_each, batches, rows_each) for number in range(senders)]
    for sender in started:
        sender.start()
    try:
        yield started
        for sender in started:
            sender.join(120)
            assert not sender.is_alive(), f"a sender got {sender.acknowledged} of {sender.batches} acknowledged"
    finally:
        for sender in started:
            sender.stopped.set()
            sender.join(60)


def acknowledged(senders: Sequence[Sender]) -> int:
    """Batches so far."""
    return sum(sender.acknowledged for sender in senders)
