"""Reading at a pace, until it is done or called off."""

import threading
from collections.abc import Callable

_WORTH_WAITING_SECONDS = 0.01
"""Shorter waits would wake the thread for every piece that is read."""
_LEEWAY_SECONDS = 0.1
"""Of time that a slow disk took, so much may be made up for."""


class CalledOff(Exception):
    """Nobody wants the rest any more; raised in the thread that reads."""


class PacedReading:
    """Is told of every piece by the thread that reads, and lets that wait."""

    def __init__(
        self, bytes_per_second: float | None, count: Callable[[int], None], monotonic: Callable[[], float]
    ) -> None:
        """None: as fast as can be. `count` is told what was read, too."""
        self._rate = bytes_per_second
        self._count = count
        self._monotonic = monotonic
        self._due = monotonic()
        self._called_off = threading.Event()
        self.bytes_read = 0
        """So far."""

    def call_off(self) -> None:
        """From any thread."""
        self._called_off.set()

    def __call__(self, count: int) -> None:
        """Raises `CalledOff`."""
        self._count(count)
        self.bytes_read += count
        wait = 0.0
        if self._rate is not None:
            now = self._monotonic()
            self._due = max(self._due, now - _LEEWAY_SECONDS) + count / self._rate
            wait = self._due - now
        if self._called_off.wait(wait if wait >= _WORTH_WAITING_SECONDS else 0.0):
            raise CalledOff
