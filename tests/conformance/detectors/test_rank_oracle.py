"""The rank family against SciPy, against definitions written out, and against chance."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import anderson_ksamp, binom, cramervonmises_2samp, ks_2samp, mannwhitneyu

from detectors.rank.anderson_darling import AndersonDarling
from detectors.rank.cramer_von_mises import CramerVonMises
from detectors.rank.kolmogorov_smirnov import ALTERNATIVES, KolmogorovSmirnov
from detectors.rank.mann_whitney import MannWhitney
from tests.conformance.detectors.strategies import reference_and_windows

samples = st.tuples(
    st.integers(2, 600), st.integers(2, 600), st.sampled_from([0.0, 0.1, 0.5, 3.0]), st.integers(0, 2**32)
)


def drawn(sizes):
    n, m, shift, seed = sizes
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, 2)), generator.normal(shift, size=(m, 2))


def with_ties(reference, window):
    """Within and between the samples, and among window values that no reference value equals."""
    reference, window = reference.round(1), window.round(1)
    window[: len(window) // 3] += 0.05
    return reference, window


def result(detector, reference, window):
    fitted = detector.fit(reference)
    return detector.test(fitted, detector.summarise(fitted, window))


def columns(*rows):
    return [[each[:, feature] for each in rows] for feature in range(rows[0].shape[1])]


def assert_mann_whitney_is_scipy_s(reference, window):
    found = result(MannWhitney(), reference, window)
    for feature, (x, y) in enumerate(columns(reference, window)):
        expected = mannwhitneyu(x, y, use_continuity=True, alternative="two-sided", method="asymptotic")
        probability = 1.0 if len(np.unique([*x, *y])) == 1 else expected.pvalue  # which is NaN from SciPy 1.18 on
        if found.method == "normal":  # elsewhere the normal law does not hold: see test_conditional.py
            assert found.p_value[feature] == pytest.approx(probability, rel=1e-9, abs=1e-12)
        assert found.effect[feature] == pytest.approx(abs(2 * expected.statistic / len(x) / len(y) - 1), abs=1e-12)


@given(reference_and_windows(windows=1, least=1))
@settings(max_examples=100)
def test_mann_whitney_on_small_and_odd_samples(rows):
    reference, window = rows
    if not np.isnan(np.concatenate(rows)).any():
        assert_mann_whitney_is_scipy_s(reference, window)


@given(samples, st.booleans())
@settings(max_examples=60)
def test_mann_whitney_on_samples_of_any_size(sizes, tied):
    rows = drawn(sizes)
    assert_mann_whitney_is_scipy_s(*(with_ties(*rows) if tied else rows))


def mean_square(x, y):
    """The definition: the distance between the distribution functions, squared, at every value of both samples."""
    places = np.concatenate([x, y])
    x, y = np.sort(x), np.sort(y)
    difference = x.searchsorted(places, side="right") / len(x) - y.searchsorted(places, side="right") / len(y)
    return (difference**2).mean()


@given(samples)
@settings(max_examples=60)
def test_cramer_von_mises_without_ties(sizes):
    reference, window = drawn(sizes)
    found = result(CramerVonMises(), reference, window)
    for feature, (x, y) in enumerate(columns(reference, window)):
        expected = cramervonmises_2samp(x, y, method="asymptotic")
        assert found.statistic[feature] == pytest.approx(expected.statistic, rel=1e-9, abs=1e-11)
        if found.method == "conditional":
            assert len(y) <= 2 or len(x) <= 2
            continue
        # SciPy ends its series where a term is below 1e-7, which shows as up to 3e-8 far out in the tail.
        assert found.p_value[feature] == pytest.approx(expected.pvalue, abs=1e-9 if expected.statistic < 2 else 3e-8)


@given(st.one_of(samples.map(drawn).map(lambda rows: with_ties(*rows)), reference_and_windows(windows=1, least=1)))
@settings(max_examples=100)
def test_cramer_von_mises_with_ties_is_the_definition(rows):
    reference, window = rows
    if np.isnan(np.concatenate(rows)).any():
        return
    found = result(CramerVonMises(), reference, window)
    for feature, (x, y) in enumerate(columns(reference, window)):
        expected = mean_square(x, y)
        assert found.effect[feature] ** 2 == pytest.approx(expected, rel=1e-9, abs=1e-13)
        assert found.statistic[feature] == pytest.approx(expected * len(x) * len(y) / (len(x) + len(y)), abs=1e-10)


@pytest.mark.filterwarnings("ignore:p-value")
@given(samples, st.booleans())
@settings(max_examples=60)
def test_anderson_darling(sizes, tied):
    reference, window = drawn(sizes)
    if tied:
        reference, window = with_ties(reference, window)
    found = result(AndersonDarling(), reference, window)
    for feature, (x, y) in enumerate(columns(reference, window)):
        if len(x) + len(y) < 4 or len(np.unique(np.concatenate([x, y]))) < 2:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that p is capped, and that a parameter will be renamed
            expected = anderson_ksamp([x, y])
        assert found.statistic[feature] == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
        # SciPy fits a parabola through seven percentiles, whatever is tied.
        if tied or found.method == "conditional":
            continue
        if 0.0011 < expected.pvalue < 0.2499:
            assert found.p_value[feature] == pytest.approx(expected.pvalue, rel=0.06)
        else:
            assert found.p_value[feature] < 0.0012 or found.p_value[feature] > 0.23


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@given(samples, st.booleans())
@settings(max_examples=25)
def test_kolmogorov_smirnov_exact(alternative, sizes, tied):
    reference, window = drawn((min(sizes[0], 150), min(sizes[1], 150), *sizes[2:]))
    if tied:
        reference, window = with_ties(reference, window)
    found = result(KolmogorovSmirnov(alternative, "exact"), reference, window)
    for feature, (x, y) in enumerate(columns(reference, window)):
        expected = ks_2samp(x, y, alternative=alternative, method="exact")
        assert found.p_value[feature] == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-12)
    assert found.method == "exact"


@pytest.mark.parametrize(
    "detector", [MannWhitney(), CramerVonMises(), AndersonDarling()], ids=lambda detector: detector.name
)
@pytest.mark.parametrize(("n", "m"), [(2000, 300), (30, 25)])
def test_p_values_are_uniform_without_drift(detector, n, m):
    generator = np.random.default_rng(11)
    probabilities = result(detector, generator.normal(size=(n, 1000)), generator.normal(size=(m, 1000))).p_value
    for level in (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9):
        below, slack = int((probabilities <= level).sum()), 0.01
        assert binom.sf(below - 1, 1000, min(1, level + slack)) > 1e-4, level
        assert binom.cdf(below, 1000, max(0, level - slack)) > 1e-4, level


@pytest.mark.parametrize(
    "detector", [MannWhitney(), CramerVonMises(), AndersonDarling()], ids=lambda detector: detector.name
)
@pytest.mark.parametrize("shares", [(0.25, 0.25, 0.25, 0.25), (0.5, 0.5), (0.9, 0.1), (0.6, *[0.02] * 20)], ids=str)
def test_few_different_values_do_not_alarm_too_often(detector, shares):
    generator = np.random.default_rng(12)
    reference, window = (generator.choice(len(shares), size=(size, 1000), p=shares) for size in (2000, 300))
    probabilities = result(detector, reference, window).p_value
    for level in (0.01, 0.05, 0.2):
        assert binom.sf(int((probabilities <= level).sum()) - 1, 1000, level + 0.005) > 1e-4, level
        assert binom.cdf(int((probabilities <= level).sum()), 1000, 0.5 * level) > 1e-4, level


@pytest.mark.parametrize(
    ("change", "best"),
    [
        (lambda rows: rows + 0.25, "mann_whitney"),
        (lambda rows: rows * 1.35, "anderson_darling"),
    ],
)
def test_each_finds_best_what_it_is_made_for(change, best):
    generator = np.random.default_rng(13)
    reference, window = generator.normal(size=(1000, 400)), change(generator.normal(size=(200, 400)))
    power = {
        detector.name: (result(detector, reference, window).p_value <= 0.05).mean()
        for detector in (KolmogorovSmirnov(), MannWhitney(), CramerVonMises(), AndersonDarling())
    }
    assert max(power, key=power.get) == best
    assert power[best] > 0.8
    assert power["anderson_darling"] > power["kolmogorov_smirnov"]
