"""Counting by cell: merging is exact although what is told apart is bounded, and hostile counts are refused."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.errors import InvalidDocument
from detectors.frequency import counts
from detectors.frequency.cells import Cells

DIGEST = "sha256:0"
CELLS = Cells.of([np.array([0.0, 2.0]), np.array([1.0, np.inf]), np.empty(0)], [False, True, False], told_apart=2)

values = st.sampled_from([0.0, -0.0, 2.0, 1.0, 3.0, 4.0, 5.0, -1.0, 1e308, np.nan])
windows = st.lists(st.tuples(values, values, values), max_size=12).map(
    lambda rows: np.array(rows, dtype=np.float64).reshape(-1, 3)
)


def counted(rows):
    return counts.of(DIGEST, CELLS, rows)


def by_definition(rows, feature):
    """Known counts, the two smallest of the other values with their counts, and the rows of all others."""
    column = rows[~np.isnan(rows[:, feature]), feature]
    inside = CELLS.of_feature(feature)
    if CELLS.covering[feature]:
        return [int((column <= 1).sum()), int((column > 1).sum())], {}, 0
    unseen = Counter(float(value) + 0.0 for value in column if value not in inside)
    kept = {value: unseen[value] for value in sorted(unseen)[:2]}
    return [int((column == value).sum()) for value in inside], kept, sum(unseen.values()) - sum(kept.values())


@given(windows)
def test_counts_are_what_their_definition_says(rows):
    summary = counted(rows)
    for feature in range(3):
        known, kept, others = by_definition(rows, feature)
        mine = summary.unseen_features == feature
        assert summary.known[CELLS.owners == feature].tolist() == known
        assert dict(zip(summary.unseen_values[mine], summary.unseen_counts[mine], strict=True)) == kept
        assert summary.others[feature] == others
        assert summary.missing[feature] == np.isnan(rows[:, feature]).sum()
    assert (summary.measured + summary.missing == len(rows)).all()


@given(windows, windows, windows)
def test_merging_beyond_the_limit_is_exact_in_any_order_and_grouping(x, y, z):
    a, b, c = counted(x), counted(y), counted(z)
    together = counted(np.concatenate([x, y, z]))
    assert (a + b) + c == a + (b + c) == (c + a) + b == together
    assert a + counts.empty(DIGEST, CELLS) == a
    for name, array in ((a + b) + c).arrays().items():
        assert array.tobytes() == together.arrays()[name].tobytes(), name


def test_a_value_that_was_dropped_and_comes_again_is_not_half_counted():
    column = np.array([[3.0], [4.0], [5.0], [3.5], [5.0], [3.0]]) * [1, np.nan, np.nan]
    one_by_one = counts.empty(DIGEST, CELLS)
    for row in column:
        one_by_one += counted(row.reshape(1, 3))
    assert one_by_one == counted(column)
    assert one_by_one.unseen_values.tolist() == [3.0, 3.5]
    assert one_by_one.unseen_counts.tolist() == [2, 1]
    assert one_by_one.others.tolist() == [3, 0, 0]


@given(windows)
def test_arrays_are_restored(rows):
    summary = counted(rows)
    restored = counts.restored(DIGEST, CELLS, summary.arrays())
    assert restored == summary
    assert not any(array.flags.writeable for array in restored.arrays().values() if array.ndim)


def hostile():
    full = counted(np.array([[0.0, 1, 7], [3, 5, 7], [3.5, 1, 8], [4, 1, 9], [np.nan, 1, 7]])).arrays()
    yield {name: array for name, array in full.items() if name != "others"}
    yield full | {"more": full["count"]}
    for name, array in full.items():
        yield full | {name: array.astype(np.float32)}
        yield full | {name: array.reshape(*array.shape, 1)}
        yield full | {name: array[..., np.newaxis][:0]} if array.ndim else full | {name: array.reshape(1)}
        yield full | {name: -array - 1}
        if array.ndim:
            yield full | {name: array[:-1]}
            yield full | {name: array + 1 if array.dtype.kind == "i" else array * np.inf}
            yield full | {name: array[::-1]} if not np.array_equal(array, array[::-1]) else full | {name: array * 0 - 1}
    for changed in (
        {"count": np.array(2**62), "missing": np.full(3, 2**62)},
        {"unseen_counts": np.array([1, 1, 0, 1])},
        {"unseen_values": np.array([3.0, np.nan, 7.0, 8.0])},
        {"unseen_values": np.array([3.0, np.inf, 7.0, 8.0])},
        {"unseen_values": np.array([3.0, 3.0, 7.0, 8.0])},
        {"unseen_values": np.array([-0.0, 3.5, 7.0, 8.0])},
        {"unseen_values": np.array([2.0, 3.5, 7.0, 8.0])},  # the reference has it
        {"unseen_features": np.array([0, 0, 2, 3], dtype=np.int32)},
        {"unseen_features": np.array([-1, 0, 2, 2], dtype=np.int32)},
        {"unseen_features": np.array([0, 0, 0, 2], dtype=np.int32)},  # three told apart
        {"unseen_features": np.array([0, 1, 2, 2], dtype=np.int32)},  # of intervals that cover all
        {"known": np.array([1, 0, 3, 1]), "others": np.array([1, 1, 1])},
        {"unseen_values": np.array([5e-324, 3.5, 7.0, 8.0]), "known": np.array([-1, 2, 4, 1])},
    ):
        yield full | changed
    less = counted(np.array([[3.0, 1, 0]])).arrays()
    yield less | {"others": np.array([1, 0, 0]), "count": np.array(2), "missing": np.array([0, 1, 1])}


@pytest.mark.parametrize("arrays", list(hostile()))
def test_what_no_rows_could_give_is_refused(arrays):
    with pytest.raises(InvalidDocument):
        counts.restored(DIGEST, CELLS, arrays)


def test_counts_differ_from_other_things():
    summary = counted(np.zeros((1, 3)))
    assert summary != "something else"
    assert summary != counted(np.zeros((2, 3)))
    assert hash(summary) == hash(counted(np.zeros((1, 3))))
