"""Results are values: equal where they say the same, and at home in sets."""

from dataclasses import replace

import numpy as np

from detectors import compare
from detectors.results import Measurement

ROWS = np.random.default_rng(1).normal(size=(40, 3))
WINDOW = np.array([[0.0, 1.0, np.nan]] * 5)


def test_results_that_say_the_same_are_equal_nan_and_all():
    result, again = compare(ROWS, WINDOW), compare(ROWS, WINDOW)
    assert result == again
    assert hash(result) == hash(again)
    assert result in [None, again]
    assert len({result, again}) == 1


def test_results_that_differ_in_anything_are_not():
    result = compare(ROWS, WINDOW)
    for field in ("statistic", "p_value", "effect", "missing"):
        assert result != replace(result, **{field: getattr(result, field) + 1}), field
    assert result != replace(result, statistic=result.statistic[:2])
    assert result != replace(result, method="other")
    assert result != compare(ROWS, WINDOW + 1)
    assert result != "something else"
    assert result not in [None, 3]


def test_measurements_are_values_too():
    one, same, other = (Measurement(np.array([1.0, np.nan]), np.array([value, 2.0])) for value in (0.5, 0.5, 0.6))
    assert one == same
    assert one != other
    assert {one, same} == {one}
