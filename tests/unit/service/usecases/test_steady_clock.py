"""The clock that batches are stamped with follows the wall's, and never jumps with it."""

from datetime import UTC, datetime, timedelta

import pytest

from service.usecases.steady_clock import SteadyClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clocks:
    """Both, to be set."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.off = timedelta()

    def wall(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds - 100.0) + self.off

    def monotonic(self) -> float:
        return self.seconds


def test_it_shows_the_time_of_the_wall() -> None:
    clocks = Clocks()
    steady = SteadyClock(clocks.wall, clocks.monotonic)
    for seconds in (100.0, 100.5, 5000.0):
        clocks.seconds = seconds
        assert steady() == clocks.wall()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_jump_is_made_up_for_slowly(hours: int) -> None:
    clocks = Clocks()
    steady = SteadyClock(clocks.wall, clocks.monotonic)
    clocks.off = timedelta(hours=hours)
    assert steady() == NOON
    before = NOON
    for _ in range(400):
        clocks.seconds += 100.0
        shown = steady()
        assert timedelta(seconds=89) < shown - before < timedelta(seconds=111)
        before = shown
    assert before == clocks.wall()


def test_a_clock_that_was_wrong_from_the_start_is_set_at_once() -> None:
    clocks = Clocks()
    clocks.off = timedelta(days=-20_000)
    steady = SteadyClock(clocks.wall, clocks.monotonic)
    clocks.off = timedelta()
    assert steady() == NOON
