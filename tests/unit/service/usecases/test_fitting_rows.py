"""A batch is brought into the registration's order, or refused with the place that does not fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvalidBatch
from service.usecases.observe_batch import Observations, fitting_rows

FEATURES = ("a", "b", "c")
ROWS = np.arange(12.0).reshape(4, 3)


def places(observations: Observations) -> list[str]:
    with pytest.raises(InvalidBatch) as raised:
        fitting_rows(observations, FEATURES)
    return [fault.place for fault in raised.value.faults]


@given(st.permutations(range(3)))
def test_named_columns_may_come_in_any_order(order: list[int]) -> None:
    names = [FEATURES[index] for index in order]
    assert np.array_equal(fitting_rows(Observations(ROWS[:, order], names, None), FEATURES), ROWS)


def test_columns_without_names_are_taken_in_order() -> None:
    assert np.array_equal(fitting_rows(Observations(ROWS, None, None), FEATURES), ROWS)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_another_number_of_values_is_refused(width: int) -> None:
    assert places(Observations(np.ones((2, width)), None, None)) == ["rows"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b", "secret"], ["features", "features[2]"]),
        (["a", "b", "b"], ["features", "features[1]"]),
        (["a", "b"], ["rows"]),
        (["a", "b", "c", "d"], ["rows"]),
        ([], ["rows"]),
    ],
)
def test_names_that_do_not_fit_are_told_by_their_place(names: list[str], expected: list[str]) -> None:
    observations = Observations(ROWS, names, None)
    assert places(observations) == expected
    with pytest.raises(InvalidBatch) as raised:
        fitting_rows(observations, FEATURES)
    assert "secret" not in str(raised.value)


def test_names_of_the_model_do_not_excuse_rows_of_another_width() -> None:
    assert places(Observations(np.ones((2, 4)), FEATURES, None)) == ["rows"]
