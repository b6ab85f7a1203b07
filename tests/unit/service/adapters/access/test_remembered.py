"""Answers that are remembered: for a while, and not too many."""

from service.adapters.access.remembered import Remembered


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_forgotten_when_its_time_is_up() -> None:
    clock = Clock()
    remembered: Remembered[str, int] = Remembered(3, 10.0, clock)
    remembered.put("a", 1)
    clock.now = 9.9
    assert remembered.get("a") == 1
    clock.now = 10.0
    assert remembered.get("a") is None
    assert len(remembered) == 0


def test_using_an_answer_does_not_prolong_it() -> None:
    clock = Clock()
    remembered: Remembered[str, int] = Remembered(3, 10.0, clock)
    remembered.put("a", 1)
    for clock.now in range(10):
        assert remembered.get("a") == 1
    clock.now = 10
    assert remembered.get("a") is None


def test_a_flood_is_bounded_and_what_is_used_survives_it() -> None:
    remembered: Remembered[int, int] = Remembered(100, 10.0, Clock())
    remembered.put(-1, -1)
    for number in range(100_000):
        remembered.put(number, number)
        assert remembered.get(-1) == -1
    assert len(remembered) == 100


def test_what_is_dropped_is_forgotten() -> None:
    remembered: Remembered[str, int] = Remembered(3, 10.0, Clock())
    remembered.put("a", 1)
    remembered.drop("a")
    remembered.drop("never there")
    assert remembered.get("a") is None
