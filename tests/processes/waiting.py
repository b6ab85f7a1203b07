"""Ask again until it is so, within a deadline: nothing sleeps for luck, nothing measures time."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
PERIOD_SECONDS = 0.02


def eventually(probe: Callable[[], T], what: str, *, timeout_s: float = PATIENCE_SECONDS) -> T:
    """Return the first truthy answer of the probe; fail saying what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(PERIOD_SECONDS)
    return answer


def eventually_all(count: Callable[[], int], wanted: int, what: str) -> None:
    """Wait until there are so many, however long that takes here, as long as there are ever more of them."""
    reached = count()
    while reached < wanted:
        eventually(lambda reached=reached: count() > reached, f"{what}: more than {reached} of {wanted}")
        reached = count()


async def eventually_async(probe: Callable[[], Awaitable[T]], what: str, *, timeout_s: float = PATIENCE_SECONDS) -> T:
    """Do the same without holding the event loop."""
    deadline = time.monotonic() + timeout_s
    while not (answer := await probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        await anyio.sleep(PERIOD_SECONDS)
    return answer
