"""Windows drawn from a reference: which rows stand for it, and what the windows measure."""

import numpy as np
import pytest
from scipy.special import comb
from scipy.stats import ks_2samp

from detectors.kernel import drawn_windows
from detectors.kernel.drawn_windows import DRAWN, Kinds, Seen, evenly, kinds_of


def gram(rows):
    return np.exp(-((rows[:, np.newaxis] - rows) ** 2).sum(axis=2) / 2)


def kinds(rows, most=100):
    positions, weights = kinds_of(rows, most)
    return Kinds.of(weights, gram(rows[positions]))


def test_equal_rows_are_one_kind_whatever_the_sign_of_zero():
    rows = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, -0.0], [0.0, 2.0], [1.0, 0.0]])
    positions, weights = kinds_of(rows, 10)
    assert rows[positions].tolist() == [[0, 2], [1, 0]]
    assert weights.tolist() == [2, 3]


def test_of_many_kinds_the_frequent_ones_stay_and_others_stand_for_the_rest():
    values = np.concatenate([np.zeros(700), np.arange(1.0, 301)])[:, np.newaxis]
    positions, weights = kinds_of(values, 31)
    assert len(positions) == 31
    assert weights.sum() == pytest.approx(1000)
    assert weights[values[positions, 0] == 0].tolist() == [700]
    others = values[positions, 0][1:]
    assert others.mean() == pytest.approx(150.5, rel=0.05)
    assert np.bincount(evenly(weights, 100), minlength=31)[0] == 70


def test_of_few_rows_all_are_taken():
    assert evenly(np.array([2.0, 1.0, 3.0]), 10).tolist() == [0, 0, 1, 2, 2, 2]


def test_unevenness_tells_sparse_features_from_dense_ones():
    generator = np.random.default_rng(0)
    sparse = kinds((generator.random((1000, 1)) < 0.01) * 10.0)
    dense = kinds(generator.normal(size=(300, 2)), 300)
    assert sparse.unevenness > 50
    assert dense.unevenness < 1
    assert sparse.doubtful(1000, 1000)
    assert not dense.doubtful(300, 100)
    assert kinds(np.zeros((50, 1))).doubtful(50, 10**6)  # what a constant reference does not hold, nobody knows


@pytest.mark.parametrize("odd", [1, 2, 4])
def test_new_rows_in_a_window_are_as_likely_as_those_of_any_labelling(odd):
    """Of a constant reference; the odd rows are all in the window, as likely as C(m, odd) / C(n + m, odd)."""
    n, m, near = 60, 30, np.exp(-2.0)
    share = odd / m
    mean = share**2 + (1 - share) ** 2 + 2 * share * (1 - share) * near
    distance = share**2 * (2 - 2 * near)
    discrepancy = distance - (1 - mean) / (m - 1)
    found = kinds(np.zeros((n, 1))).p_value(Seen(discrepancy - 1e-9, distance, 1 - mean), n, m, (1,))
    exact = comb(m, odd) / comb(n + m, odd)
    assert found == pytest.approx(exact, abs=0.02, rel=0.15) or (odd == 1 and found == 1)


def test_row_by_row_and_by_counts_is_the_same_law(monkeypatch):
    rows = (np.random.default_rng(1).random((400, 2)) < 0.05) * 3.0
    fitted, seen = kinds(rows), Seen(0.0, 0.01, 0.1)
    laws = []
    for few in (0, 100):
        monkeypatch.setattr(drawn_windows, "_FEW_ROWS", few)
        within, across = fitted._with_another(seen.apart)._drawn(400, 60, np.random.default_rng(2))
        laws.append(within - 2 * across + fitted.within)
    assert ks_2samp(*laws).pvalue > 1e-3


def test_no_p_value_is_zero_and_the_seed_decides():
    fitted = kinds((np.random.default_rng(3).random((200, 1)) < 0.03) * 4.0)
    far = Seen(1.9, 1.95, 0.0)
    assert fitted.p_value(far, 200, 100, (5,)) == 1 / (DRAWN + 1)
    usual = Seen(0.0, 0.001, 0.05)
    assert fitted.p_value(usual, 200, 100, (5,)) == fitted.p_value(usual, 200, 100, (5,))
    assert fitted.p_value(usual, 200, 100, (5,)) != fitted.p_value(usual, 200, 100, (6,))
