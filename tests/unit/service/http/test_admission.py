"""Admission: work under way is bounded whoever asks, and a flood finds its end before the others do."""

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import DriftwardenError, Overloaded, Saturated
from service.http.admission import Admission

REQUESTS, BYTES = 16, 1600


def filled(admission: Admission, stack: ExitStack, model: str, size: int = 0, most: int = 1000) -> int:
    """How many of these come in until the first is refused."""
    for number in range(most):
        try:
            stack.enter_context(admission.place(model, size))
        except DriftwardenError:
            return number
    return most


def test_one_model_alone_may_use_all_but_the_spare_part() -> None:
    with ExitStack() as stack:
        assert filled(Admission(REQUESTS, BYTES), stack, "flood") == 12


def test_beside_a_flood_others_come_in() -> None:
    admission = Admission(REQUESTS, BYTES)
    with ExitStack() as stack:
        filled(admission, stack, "flood")
        assert filled(admission, stack, "steady", most=4) == 4


def test_beside_many_floods_a_newcomer_comes_in() -> None:
    admission = Admission(64, 6400)
    with ExitStack() as stack:
        for turn in range(200):
            filled(admission, stack, f"flood {turn % 7}", most=1)
        assert filled(admission, stack, "steady", most=4) == 4


def test_a_flood_is_told_that_it_is_its_own_doing_and_the_others_that_it_is_not() -> None:
    admission = Admission(REQUESTS, BYTES)
    with ExitStack() as stack:
        filled(admission, stack, "flood")
        with pytest.raises(Overloaded) as raised, admission.place("flood", 0):
            pass
        assert raised.value.retry_after > 0
        for number in range(4):
            stack.enter_context(admission.place(f"model {number}", 0))
        with pytest.raises(Saturated) as saturated, admission.place("one more", 0):
            pass
        assert saturated.value.retry_after > 0
        assert saturated.value.retryable


def test_large_bodies_take_the_room_of_many() -> None:
    with ExitStack() as stack:
        assert filled(Admission(REQUESTS, BYTES), stack, "large", size=400) == 3


def test_one_that_is_larger_than_everything_is_taken_alone() -> None:
    admission = Admission(REQUESTS, BYTES)
    with admission.place("huge", 10 * BYTES), pytest.raises(DriftwardenError), admission.place("small", 0):
        pass
    with admission.place("small", 0), pytest.raises(DriftwardenError), admission.place("huge", 10 * BYTES):
        pass


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 900), st.booleans()), max_size=80))
def test_what_is_under_way_is_bounded_and_what_has_ended_leaves_nothing(steps: list[tuple[str, int, bool]]) -> None:
    admission, under_way = Admission(REQUESTS, BYTES), list[ExitStack]()
    for model, size, ends in steps:
        if ends and under_way:
            under_way.pop(0).close()
        place = ExitStack()
        try:
            place.enter_context(admission.place(model, size))
        except DriftwardenError:
            continue
        under_way.append(place)
        assert admission._used <= BYTES or len(under_way) == 1
        assert len(under_way) <= REQUESTS
    for place in under_way:
        place.close()
    assert (admission._used, dict(admission._held)) == (0, {})
    with admission.place("a", BYTES):
        pass
