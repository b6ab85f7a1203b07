"""MMD without permutations: halves, the statistic of the paper, and parameters."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import comb
from scipy.stats import skew, t, ttest_ind

from detectors.errors import InvalidParameter, TooFewRows
from detectors.kernel import tiles
from detectors.kernel.cross_maximum_mean_discrepancy import CrossMaximumMeanDiscrepancy, Halves

GIVEN = CrossMaximumMeanDiscrepancy(standardise=False, bandwidth=1.3)


def rows(count, features=3, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=(count, features))


def result_of(detector, reference, window):
    fitted = detector.fit(reference)
    return detector.test(fitted, detector.summarise(fitted, window))


def kernel(left, right):
    return np.exp(-cdist(left, right, "sqeuclidean") / 2)


@pytest.mark.parametrize(("n", "m"), [(40, 30), (41, 5), (4, 4), (1300, 700)])
def test_the_statistic_is_that_of_the_paper(n, m):
    """S. Shekhar, I. Kim and A. Ramdas, eq. 5 and 6, but with one variance for both samples: that of Student's test."""
    reference, window = rows(n), rows(m, seed=1, shift=0.2)
    fitted = GIVEN.fit(reference)
    x, y = fitted.halves, Halves.of(fitted.frame, window, 10_000, (0, 7))
    assert (len(x.first), len(x.second)) == ((n + 1) // 2, n // 2)
    witness = [
        kernel(first, x.second).mean(axis=1) - kernel(first, y.second).mean(axis=1) for first in (x.first, y.first)
    ]
    expected = ttest_ind(*witness, alternative="greater")
    result = GIVEN.test(fitted, GIVEN.summarise(fitted, window))
    assert result.statistic[0] == pytest.approx(expected.statistic, abs=1e-8)
    least = 1 / comb(len(x.first) + len(y.first), len(y.first))
    counts = 1 / len(x.first), 1 / len(y.first)
    skewed = skew(np.concatenate(witness)) * (counts[0] ** 2 - counts[1] ** 2) / sum(counts) ** 1.5
    z, third = expected.statistic, max(skewed, 0) / 6
    corrected = t.sf(z - third * (z**2 - 1) + third**2 * z**3 / 3, len(x.first) + len(y.first) - 2)
    assert result.p_value[0] == pytest.approx(max(corrected, least), rel=1e-6)
    distance = witness[0].mean() - witness[1].mean()
    assert result.effect[0] == pytest.approx(np.sqrt(max(distance, 0)), abs=1e-6)


def test_halves_hold_every_row_once_and_depend_on_the_rows_not_on_their_order():
    fitted = GIVEN.fit(rows(5))
    window = rows(31, seed=1)
    halves = Halves.of(fitted.frame, window, 100, (0, 7))
    together = np.concatenate([halves.first, halves.second])
    assert np.array_equal(np.sort(together, axis=0), np.sort(fitted.frame.place(window), axis=0))
    again = Halves.of(fitted.frame, window[::-1].copy(), 100, (0, 7))
    assert np.array_equal(halves.first, again.first)
    other = Halves.of(fitted.frame, window, 100, (1, 7))
    assert not np.array_equal(halves.first, other.first)


def test_the_halves_of_different_rows_hold_different_ranks():
    """In canonical order one draw for all rows would put the same ranks of the first feature in the same half."""
    fitted = GIVEN.fit(rows(5, 1))
    ranks = set()
    for seed in range(5):
        window = rows(20, 1, seed=seed)
        halves = Halves.of(fitted.frame, window, 100, (0, 7))
        ranks.add(tuple(np.searchsorted(np.sort(window[:, 0]), np.sort(window[halves.origins[0], 0]))))
    assert len(ranks) == 5


def test_negative_zeros_are_zeros():
    window = rows(20).round()
    window[:5, 0] = 0.0
    negative = window.copy()
    negative[:5, 0] = -0.0
    assert result_of(GIVEN, rows(30), window).statistic == result_of(GIVEN, rows(30), negative).statistic


def test_counts_are_those_of_the_rows_used():
    detector = CrossMaximumMeanDiscrepancy(maximum_reference_rows=30, maximum_window_rows=20)
    window = rows(50, seed=1)
    window[:3, 0] = np.nan
    result = result_of(detector, rows(100), window)
    assert (result.reference_count, result.window_count, result.missing.tolist()) == (30, 23, [3])
    assert (result.method, result.seed) == ("student", 0)


@pytest.mark.parametrize("count", [0, 3])
def test_four_complete_rows_are_needed(count):
    few = np.concatenate([np.full((9, 3), np.nan), rows(count)])
    with pytest.raises(TooFewRows, match=f"{count} complete reference rows, and at least 4"):
        GIVEN.fit(few)
    result = result_of(GIVEN, rows(20), few)
    assert np.isnan([result.statistic, result.effect, result.p_value]).all()
    assert np.isfinite(result_of(GIVEN, rows(4), rows(4, seed=1)).p_value).all()


def test_what_never_varies_has_a_finite_statistic():
    constant = np.full((20, 2), 3.0)
    same, other = result_of(GIVEN, constant, constant[:10]), result_of(GIVEN, constant, constant[:10] + 9)
    assert (same.statistic[0], same.p_value[0], same.effect[0]) == (0, 1, 0)
    assert np.isfinite(other.statistic[0])
    assert other.statistic[0] > 1000
    assert other.p_value[0] == pytest.approx(1 / comb(15, 5))


@pytest.mark.parametrize("held", [slice(0, 30), slice(50, 90), slice(119, 120), slice(0, 118)])
def test_holding_rows_out_leaves_the_halves_of_the_others(held):
    reference = np.insert(rows(119), 60, np.nan, axis=0)
    fitted = GIVEN.fit(reference)
    summary = GIVEN.summarise(fitted, rows(40, seed=1))
    found = GIVEN.measure_held_out(fitted, summary, held)
    kept = [(origins < held.start) | (origins >= held.stop) for origins in fitted.halves.origins]
    if min(part.sum() for part in kept) < 2:
        assert np.isnan([found.statistic, found.effect]).all()
        return
    first, second = fitted.halves.first[kept[0]], fitted.halves.second[kept[1]]
    y = Halves.of(fitted.frame, summary.rows, 10_000, (0, 7))
    witness = [
        kernel(points, second).mean(axis=1) - kernel(points, y.second).mean(axis=1) for points in (first, y.first)
    ]
    expected = ttest_ind(*witness)
    assert found.statistic[0] == pytest.approx(expected.statistic, abs=1e-7)


def test_results_do_not_depend_on_tiles(monkeypatch):
    whole = result_of(GIVEN, rows(90), rows(70, seed=1))
    monkeypatch.setattr(tiles, "TILE_ROWS", 7)
    np.testing.assert_allclose(result_of(GIVEN, rows(90), rows(70, seed=1)).statistic, whole.statistic, rtol=1e-9)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("seed", -1),
        ("standardise", None),
        ("maximum_reference_rows", 3),
        ("maximum_window_rows", 10**6),
        ("bandwidth", -1.0),
        ("bandwidth", True),
    ],
)
def test_parameters_are_checked(parameter, value):
    with pytest.raises(InvalidParameter) as caught:
        CrossMaximumMeanDiscrepancy(**{parameter: value})
    assert caught.value.parameter == parameter
