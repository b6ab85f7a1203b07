"""Frequency detectors against SciPy, against papers' definitions, and against chance: null laws and power."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import betabinom, binom, chi2_contingency, fisher_exact

from detectors.frequency.chi_square import ChiSquare
from detectors.frequency.fisher import FisherExact
from detectors.frequency.hypergeometric import ALTERNATIVES
from detectors.frequency.jensen_shannon import JensenShannon
from detectors.frequency.missing_values import MissingValues
from detectors.frequency.out_of_range import OutOfRange
from detectors.frequency.population_stability import PopulationStabilityIndex
from detectors.frequency.unseen_categories import UnseenCategories

LEVELS = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9]
IMPROBABLE = 1e-4


def told(parameter):
    """The same in every process: functions without their addresses."""
    return getattr(parameter, "__name__", None) or repr(parameter)


def result(detector, reference, window):
    fitted = detector.fit(reference)
    return detector.test(fitted, detector.summarise(fitted, window))


def table_of(reference, window):
    categories = np.unique(np.concatenate([reference, window]))
    return np.array([[(sample == each).sum() for each in categories] for sample in (reference, window)])


def test_the_golden_vector_of_alibi_detect():
    i, j, f = np.arange(200)[:, np.newaxis], np.arange(150)[:, np.newaxis], np.arange(2)
    found = result(ChiSquare(), ((7 * i + 3 * f) % 5).astype(float), ((j**2 + f) % 5).astype(float))
    np.testing.assert_allclose(found.statistic, [84, 84], rtol=1e-13)
    np.testing.assert_allclose(found.p_value, [2.4722946e-17] * 2, rtol=1e-7)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 12), st.integers(0, 2**32))
@settings(max_examples=150)
def test_chi_square_is_that_of_scipy(n, m, categories, seed):
    generator = np.random.default_rng(seed)
    reference = generator.integers(0, categories, size=(n, 3)).astype(float)
    window = generator.integers(-1, categories + generator.integers(0, 3), size=(m, 3)).astype(float)
    found = result(ChiSquare("asymptotic"), reference, window)
    safe = result(ChiSquare(), reference, window)
    for feature in range(3):
        table = table_of(reference[:, feature], window[:, feature])
        expected = chi2_contingency(table)
        if (expected.expected_freq >= 5).all() or expected.pvalue > 0.25:
            assert safe.p_value[feature] == found.p_value[feature]
        assert found.statistic[feature] == pytest.approx(expected.statistic, rel=1e-11, abs=1e-12)
        assert found.p_value[feature] == pytest.approx(expected.pvalue, rel=1e-10)


def test_the_effect_of_chi_square_is_v_for_samples_of_one_size():
    generator = np.random.default_rng(1)
    reference, window = generator.integers(0, 5, size=(2, 400, 1)).astype(float)
    statistic = chi2_contingency(table_of(reference[:, 0], window[:, 0])).statistic
    assert result(ChiSquare(), reference, window).effect[0] == pytest.approx(np.sqrt(statistic / 800))


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("largest", [8, 200, 20_000])
def test_fisher_exact_is_that_of_scipy(alternative, largest):
    generator = np.random.default_rng(largest)
    for share, other in [(0.5, 0.5), (0.1, 0.15), (0.0, 0.01), (0.999, 1.0)]:
        n, m = generator.integers(1, largest, 2)
        reference = (generator.random((n, 5)) < share).astype(float)
        window = (generator.random((m, 5)) < other).astype(float)
        found = result(FisherExact(alternative, event=1.0), reference, window)
        for feature in range(5):
            events = np.array([window[:, feature].sum(), reference[:, feature].sum()], dtype=int)
            table = [events, np.array([m, n]) - events]
            expected = fisher_exact(table, alternative=alternative).pvalue
            assert found.p_value[feature] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("bins", [None, 10, 4])
def test_the_jensen_shannon_distance_is_that_of_scipy(bins):
    generator = np.random.default_rng(2)
    draw = (lambda count: generator.poisson(3, size=(count, 4)) / 4) if bins is None else generator.normal
    reference = draw(500) if bins is None else draw(size=(500, 4))
    window = draw(80) + 0.25 if bins is None else draw(0.2, size=(80, 4))
    found = result(JensenShannon(bins), reference, window)
    for feature in range(4):
        here, there = window[:, feature], reference[:, feature]
        if bins is None:
            table = table_of(there, here)
            unseen = table[0] == 0  # one cell
            table = np.column_stack([table[:, ~unseen], table[:, unseen].sum(axis=1)])
        else:
            edges = np.quantile(there, np.arange(1, bins) / bins, method="inverted_cdf")
            table = np.array([np.bincount(np.searchsorted(edges, each), minlength=bins) for each in (there, here)])
        assert found.statistic[feature] == pytest.approx(jensenshannon(table[0], table[1], base=2), rel=1e-9)


def test_the_stability_index_is_its_definition_of_smoothed_shares():
    a, b = np.array([60, 30, 10, 0]), np.array([5, 10, 4, 1])
    reference, window = (np.repeat(np.arange(4.0), each).reshape(-1, 1) for each in (a, b))
    p, q = ((each + 4 * (a + b) / 120) / (each.sum() + 4) for each in (a, b))
    expected = ((q - p) * np.log(q / p)).sum()
    assert result(PopulationStabilityIndex(None), reference, window).statistic[0] == pytest.approx(expected)
    many = result(PopulationStabilityIndex(None), np.tile(reference, (1000, 1)), np.tile(window[:-1], (1000, 1)))
    p, q = a[:3] / a.sum(), b[:3] / 19
    assert many.statistic[0] == pytest.approx(((q - p) * np.log(q / p)).sum(), rel=1e-3)


@pytest.mark.parametrize(("n", "m"), [(2, 1), (2, 40), (30, 12), (1000, 50), (5000, 5000)])
def test_values_out_of_range_are_beta_binomial(n, m):
    reference = np.arange(float(n)).reshape(-1, 1)
    for beyond in sorted({0, 1, 2, m // 2, m}):
        if beyond <= m:
            window = np.concatenate([np.zeros(m - beyond), np.full(beyond, -1.0)]).reshape(-1, 1)
            expected = betabinom.pmf(np.arange(beyond, m + 1), m, 2, n - 1).sum()
            assert result(OutOfRange(), reference, window).p_value[0] == pytest.approx(expected, rel=1e-8, abs=1e-300)


def test_values_out_of_range_by_all_orders():
    every = [np.array(order, dtype=float) for order in permutations(range(7))]
    beyond = np.array([((o[4:] < o[:4].min()) | (o[4:] > o[:4].max())).sum() for o in every])
    reference = np.arange(4.0).reshape(-1, 1)
    for x in range(4):
        window = np.array([-1.0] * x + [1.0] * (3 - x)).reshape(-1, 1)
        assert result(OutOfRange(), reference, window).p_value[0] == pytest.approx((beyond >= x).mean())


def test_unseen_p_values_hold_for_all_choices_of_a_window():
    """By brute force: over every split of the same values, p <= alpha is no more probable than alpha."""
    values = np.array([0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6.0])
    for m in (3, 6):
        chosen = np.array([[(mask >> bit) & 1 for bit in range(12)] for mask in range(2**12)], dtype=bool)
        found = []
        for window in chosen[chosen.sum(axis=1) == m]:
            here, there = values[window].reshape(-1, 1), values[~window].reshape(-1, 1)
            found.append(result(UnseenCategories(), there, here).p_value[0])
        found = np.array(found)
        for level in np.unique(found):
            assert (found <= level).mean() <= level + 1e-12


def p_values(detector, draw, n, m, repetitions=4, features=500, seed=1):
    generator = np.random.default_rng(seed)
    found = [
        result(detector, draw(generator, (n, features)), draw(generator, (m, features))).p_value
        for _ in range(repetitions)
    ]
    return np.concatenate(found)


def assert_not_too_often_small(probabilities, excess=1.0):
    for level in LEVELS:
        below = int((probabilities <= level + 1e-12).sum())
        allowed = min(1, level * excess + (0.001 if excess > 1 else 0))
        assert binom.sf(below - 1, len(probabilities), allowed) > IMPROBABLE, level


def assert_roughly_uniform(probabilities, relative=0.3):
    assert_not_too_often_small(probabilities, 1 + relative)
    for level in LEVELS[2:]:
        below = int((probabilities <= level + 1e-12).sum())
        assert binom.cdf(below, len(probabilities), level * (1 - relative)) > IMPROBABLE, level


def normal(generator, shape):
    return generator.normal(size=shape)


def five(generator, shape):
    return generator.choice(5, size=shape, p=[0.4, 0.3, 0.2, 0.07, 0.03]).astype(float)


def two(generator, shape):
    return (generator.random(shape) < 0.3).astype(float)


def lacking(generator, shape):
    return np.where(generator.random(shape) < 0.1, np.nan, 1.0)


def geometric(generator, shape):
    return generator.geometric(0.3, size=shape).astype(float)


def zipf(generator, shape):
    weights = 1 / np.arange(1, 1000) ** 1.2
    return generator.choice(len(weights), size=shape, p=weights / weights.sum()).astype(float)


@pytest.mark.parametrize(("n", "m"), [(1000, 50), (1000, 400), (100, 100)])
@pytest.mark.parametrize(
    ("detector", "draw"),
    [
        (ChiSquare(), five),
        (PopulationStabilityIndex(), normal),
        (PopulationStabilityIndex(None), five),
        (JensenShannon(), normal),
        (JensenShannon(None), five),
    ],
    ids=told,
)
def test_asymptotic_p_values_are_uniform_without_drift(detector, draw, n, m):
    assert_roughly_uniform(p_values(detector, draw, n, m))


@pytest.mark.parametrize(("n", "m"), [(1000, 50), (400, 400), (100, 400)])
@pytest.mark.parametrize(
    ("detector", "draw"),
    [
        (ChiSquare(), two),  # Yates' correction
        (FisherExact(), two),
        (FisherExact("less"), two),
        (FisherExact("greater"), two),
        (MissingValues(), lacking),
        (OutOfRange(), normal),
        (OutOfRange(), five),
        (UnseenCategories(), geometric),
        (UnseenCategories(), zipf),
    ],
    ids=told,
)
def test_exact_p_values_are_never_too_often_small(detector, draw, n, m):
    assert_not_too_often_small(p_values(detector, draw, n, m, repetitions=2))


@pytest.mark.parametrize(
    ("detector", "draw"),
    [(FisherExact(), two), (MissingValues(), lacking), (OutOfRange(), normal), (UnseenCategories(), zipf)],
    ids=told,
)
def test_exact_p_values_are_not_idle_either(detector, draw):
    found = p_values(detector, draw, 2000, 500, repetitions=2)
    assert (found <= 0.15).mean() > 0.03  # out of 2500 rows the extremes take few values: 0.104 is one


def doubled(generator, shape):
    return generator.choice(5, size=shape, p=[0.3, 0.3, 0.2, 0.14, 0.06]).astype(float)


@pytest.mark.parametrize(
    ("detector", "before", "after"),
    [
        (ChiSquare(), five, doubled),
        (PopulationStabilityIndex(None), five, doubled),
        (JensenShannon(None), five, doubled),
        (PopulationStabilityIndex(), normal, lambda generator, shape: generator.normal(0.4, size=shape)),
        (JensenShannon(), normal, lambda generator, shape: generator.normal(0.0, 1.4, size=shape)),
        (FisherExact(), two, lambda generator, shape: (generator.random(shape) < 0.43).astype(float)),
        (FisherExact("less"), two, lambda generator, shape: (generator.random(shape) < 0.18).astype(float)),
        (MissingValues(), lacking, lambda generator, shape: np.where(generator.random(shape) < 0.2, np.nan, 1.0)),
        (OutOfRange(), normal, lambda generator, shape: generator.normal(0.0, 1.6, size=shape)),
        (
            UnseenCategories(),
            zipf,
            lambda generator, shape: 700 * (generator.random(shape) < 0.2) + zipf(generator, shape),
        ),
        (UnseenCategories(), five, lambda generator, shape: np.where(generator.random(shape) < 0.03, 9, 1.0)),
    ],
    ids=told,
)
def test_a_change_is_found(detector, before, after):
    generator = np.random.default_rng(7)
    reference, window = before(generator, (1000, 100)), after(generator, (300, 100))
    assert (result(detector, reference, window).p_value <= 0.01).mean() > 0.75
