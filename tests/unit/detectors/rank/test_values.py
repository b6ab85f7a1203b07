"""The sorted values of a window, by hand, and what is no summary."""

import numpy as np
import pytest

from detectors.errors import InvalidDocument
from detectors.rank import counts, values
from detectors.rank import reference as references
from detectors.rank.mann_whitney import MannWhitney

INF = np.inf


def reference():
    return references.fit(MannWhitney(), np.array([[1.0, 5.0], [2.0, 5.0]]))


def test_values_are_sorted_and_missing_ones_come_last():
    rows = np.array([[3.0, np.nan], [-0.0, np.inf], [2.0, 1.0]])
    summary = values.summarise(reference(), rows)
    assert summary.numbers.tolist() == [[0.0, 2.0, 3.0], [1.0, np.finfo(float).max, INF]]
    assert not np.signbit(summary.numbers[0, 0])
    assert summary.missing.tolist() == [0, 1]
    assert rows[1, 1] == INF


def test_summaries_of_the_two_kinds_are_never_equal():
    found = reference()
    assert values.empty(found) != counts.empty(found)


HOSTILE = {
    "another name": {"cells": np.zeros((2, 1))},
    "another type": {"values": np.zeros((2, 1), dtype=np.float32)},
    "another shape": {"values": np.zeros((1, 2))},
    "not a number": {"values": np.array([[np.nan], [0.0]])},
    "minus infinity": {"values": np.array([[-INF], [0.0]])},
    "zero of the other sign": {"values": np.array([[-0.0], [0.0]])},
    "out of order": {"values": np.array([[1.0, 0.0], [0.0, 0.0]])},
    "missing before others": {"values": np.array([[INF, 0.0], [0.0, 0.0]])},
}


@pytest.mark.parametrize("arrays", HOSTILE.values(), ids=HOSTILE)
def test_arrays_that_no_summary_holds_are_refused(arrays):
    with pytest.raises(InvalidDocument):
        values.restored(reference(), arrays)
