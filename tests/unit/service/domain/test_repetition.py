"""A reference that is in part a copy of itself is noticed, and one whose rows merely have few values is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.repetition import Repetition, repetition

GENERATOR = np.random.default_rng(3)
ROWS = GENERATOR.normal(size=(400, 3))
SHORTEST = 100


@given(copies=st.integers(2, 4), rows=st.integers(SHORTEST, 400))
def test_copies_are_counted_with_their_distance(copies: int, rows: int) -> None:
    found = repetition(np.tile(ROWS[:rows], (copies, 1)), SHORTEST)
    assert found == Repetition((copies - 1) * rows, rows)


def test_a_stretch_that_was_sent_again_is_found_among_others() -> None:
    again = np.concatenate([ROWS[:300], ROWS[100:200], ROWS[300:]])
    assert repetition(again, SHORTEST) == Repetition(100, 200)


def test_zeros_of_either_sign_and_missing_values_are_alike() -> None:
    rows = ROWS.copy()
    rows[::3, 0] = 0.0
    rows[::7, 1] = np.nan
    assert repetition(np.concatenate([rows, np.where(rows == 0, -0.0, rows)]), SHORTEST) == Repetition(400, 400)


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        np.ones((500, 2)),
        GENERATOR.integers(0, 3, size=(5000, 2)).astype(float),
        np.repeat(ROWS, 5, axis=0),
        np.concatenate([ROWS, ROWS[:20]]),
        ROWS[:1],
        np.empty((0, 2)),
    ],
    ids=["distinct", "constant", "few values", "each at once again", "a few twice", "one", "none"],
)
def test_rows_that_are_no_copied_stretch(rows: np.ndarray) -> None:
    assert repetition(rows, SHORTEST) is None
