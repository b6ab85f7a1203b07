"""The time of day without jumps: what batches are stamped with whose sender does not say when they were observed.

A clock that is set forward would end windows by time before their rows are there, and one that is set back would make
what comes late. This one goes at the monotonic clock's pace, and no more than a tenth faster or slower to follow the
clock on the wall.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from service.ports import Clock

SLEW = 0.1
LONGEST = timedelta(hours=3)
"""Off by more, this clock was wrong from the start, or its machine has slept: it is set at once."""


class SteadyClock:
    """A `Clock`; starts at the wall clock's time."""

    def __init__(self, wall: Clock, monotonic: Callable[[], float]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._time = wall()
        self._asked = monotonic()

    def __call__(self) -> datetime:
        """Now."""
        asked = self._monotonic()
        passed, self._asked = timedelta(seconds=asked - self._asked), asked
        most = passed * SLEW
        away = self._wall() - (self._time + passed)
        self._time += passed + (away if abs(away) > LONGEST else max(-most, min(most, away)))
        return self._time
