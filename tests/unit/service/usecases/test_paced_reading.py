"""Reading keeps to its pace on average and soon after a pause, and ends when it is called off."""

import threading

import pytest

from service.usecases.paced_reading import CalledOff, PacedReading

PIECE = 250_000


class Clock:
    """Passes only while somebody waits, or is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits = 0

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        self.waits += seconds > 0
        return False

    def __call__(self) -> float:
        return self.now


def read(clock: Clock, rate: float | None, pieces: int) -> PacedReading:
    counted: list[int] = []
    reading = PacedReading(rate, counted.append, clock)
    reading._called_off = clock  # type: ignore[assignment]
    for _ in range(pieces):
        reading(PIECE)
    assert sum(counted) == pieces * PIECE
    return reading


def test_so_many_bytes_take_so_many_seconds() -> None:
    clock = Clock()
    read(clock, 100e6, 4_000)
    assert clock.now == pytest.approx(10.0, rel=0.02)
    assert clock.waits < 1_001  # not one for every piece


def test_time_that_was_lost_is_not_made_up_for() -> None:
    clock = Clock()
    reading = read(clock, 100e6, 400)
    clock.now += 60.0  # a disk that hung
    begun = clock.now
    for _ in range(400):
        reading(PIECE)
    assert clock.now - begun == pytest.approx(1.0, abs=0.15)


def test_without_a_pace_nothing_waits() -> None:
    clock = Clock()
    read(clock, None, 100)
    assert clock.now == 0.0


def test_it_ends_in_the_middle_of_a_wait_when_it_is_called_off() -> None:
    reading = PacedReading(1.0, lambda _: None, lambda: 0.0)
    ended = threading.Event()

    def slowly() -> None:
        with pytest.raises(CalledOff):
            reading(PIECE)  # days
        ended.set()

    thread = threading.Thread(target=slowly)
    thread.start()
    reading.call_off()
    assert ended.wait(30)
    thread.join()
