"""The sample of a flood: even, and the same whatever way its rows come together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from service.domain.plan import WindowPlan
from service.domain.windows import RowSample, ranks
from tests.unit.service.domain.windows.logs import Sent, logged, numbers, windows


def sample(most: int, names: list[str], rows: int = 50) -> RowSample:
    made = RowSample(most)
    for name in names:
        values = np.arange(rows, dtype=np.float64) + 1000 * int(name)
        made.add(ranks(b"key", name, np.arange(rows)), np.full(rows, int(name)), values[:, None])
    return made


@given(st.permutations([str(number) for number in range(12)]), st.integers(0, 12), st.integers(1, 700))
def test_the_sample_of_samples_is_the_sample_of_all_their_rows(names: list[str], cut: int, most: int) -> None:
    together = sample(most, [str(number) for number in range(12)])
    merged = sample(most, names[:cut])
    merged.merge(sample(most, names[cut:]))
    assert merged.rows().tolist() == together.rows().tolist()
    assert len(merged.rows()) == min(most, 600)


def test_each_row_is_as_likely_as_any_other() -> None:
    """Over 400 keys, samples of 100 from 20 batches of 50 rows: each batch and each place in fair share."""
    batches, places = np.zeros(20), np.zeros(50)
    for key in range(400):
        made = RowSample(100)
        for batch in range(20):
            rows = np.column_stack([np.full(50, batch), np.arange(50)]).astype(np.float64)
            made.add(ranks(b"%d" % key, str(batch), np.arange(50)), np.zeros(50, np.int64), rows)
        drawn = made.rows().astype(np.intp)
        batches += np.bincount(drawn[:, 0], minlength=20)
        places += np.bincount(drawn[:, 1], minlength=50)
    assert chisquare(batches).pvalue > 1e-3
    assert chisquare(places).pvalue > 1e-3


def test_ranks_are_uniform_and_differ_between_keys_batches_and_places() -> None:
    of = np.concatenate([ranks(b"key", str(batch), np.arange(100)) for batch in range(100)])
    assert kstest(of / 2.0**64, "uniform").pvalue > 1e-3
    assert len(np.unique(of)) == len(of)
    assert not np.array_equal(ranks(b"key", "a", np.arange(9)), ranks(b"another", "a", np.arange(9)))
    assert np.array_equal(ranks(b"key", "a", np.arange(9))[4:], ranks(b"key", "a", np.arange(4, 9)))
    assert ranks(b"k" * 200, "\ud800", np.arange(1)).dtype == np.uint64


@pytest.mark.parametrize("step", [None, 30])
def test_by_count_the_tested_rows_are_a_sample_of_the_window_in_the_order_of_the_log(step: int | None) -> None:
    log = logged([Sent(str(index), (1,) * 7) for index in range(30)])
    whole = windows(WindowPlan(100, step=step), log)
    drawn = windows(WindowPlan(100, step=step, sample_rows=25), log)
    assert [(window.seen, len(window.rows)) for window in drawn] == [(100, 25)] * len(whole)
    for window, all_of_it in zip(drawn, whole, strict=True):
        assert numbers(window) == sorted(numbers(window))
        assert set(numbers(window)) < set(numbers(all_of_it))
        assert (window.start, window.end) == (all_of_it.start, all_of_it.end)
