"""Fast and cross MMD: as often wrong as they may be, about as powerful as the exact test, the same in every library."""

import array_api_strict as strict
import numpy as np
import pytest
from scipy.stats import binom

from detectors.arrays import backend_of, open_backend
from detectors.calibration import LeavesOut, block_null
from detectors.errors import BackendUnavailable
from detectors.kernel.cross_maximum_mean_discrepancy import CrossMaximumMeanDiscrepancy
from detectors.kernel.fast_maximum_mean_discrepancy import FastMaximumMeanDiscrepancy
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy

IMPROBABLE = 1e-4
FORMS = {"fast": FastMaximumMeanDiscrepancy(frequencies=200), "cross": CrossMaximumMeanDiscrepancy()}
each_form = pytest.mark.parametrize("detector", FORMS.values(), ids=FORMS)

LAWS = {
    "normal": lambda generator, shape: generator.normal(size=shape),
    "skewed": lambda generator, shape: generator.exponential(size=shape),
    "heavy tails": lambda generator, shape: generator.standard_t(3, size=shape),
    "binary": lambda generator, shape: generator.integers(0, 2, size=shape).astype(float),
}


def p_values(detector, draw, n, m, features, repetitions=80, windows=5):
    generator = np.random.default_rng(n + m + features)
    found = []
    for _ in range(repetitions):
        fitted = detector.fit(draw(generator, (n, features)))
        drawn = [draw(generator, (m, features)) for _ in range(windows)]
        found.extend(detector.test(fitted, detector.summarise(fitted, window)).p_value[0] for window in drawn)
    return np.array(found)


@each_form
@pytest.mark.parametrize("draw", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize(("n", "m", "features"), [(100, 25, 3), (300, 300, 1), (150, 60, 12)])
def test_the_size_is_what_was_asked_for(detector, draw, n, m, features):
    """But for a slack of a point or two: windows share references, and few rows are not yet normal on average."""
    found = p_values(detector, draw, n, m, features)
    for level, slack in ((0.05, 0.015), (0.2, 0.025)):
        below = int((found <= level).sum())
        assert binom.sf(below - 1, len(found), level + slack) > IMPROBABLE, (below, level)
        assert binom.cdf(below, len(found), level - slack) > IMPROBABLE, (below, level)


RARE = {
    "binary": lambda generator, shape: (generator.random(shape) < 0.005).astype(float),
    "counts": lambda generator, shape: generator.poisson(0.3, size=shape).astype(float),
    "mostly zero": lambda generator, shape: np.where(
        generator.random(shape) < 0.05, generator.lognormal(size=shape), 0
    ),
}


@each_form
@pytest.mark.parametrize("draw", RARE.values(), ids=RARE)
@pytest.mark.parametrize(("n", "m", "features"), [(100, 10, 2), (300, 100, 2), (600, 50, 1), (100, 500, 2)])
def test_the_size_of_sparse_features_is_no_more_than_was_asked_for(detector, draw, n, m, features):
    """A window holds none of the odd rows, one or two: no law for many rows is near."""
    found = p_values(detector, draw, n, m, features, repetitions=20, windows=5)
    for level in (0.05, 0.01, 0.001):
        below = int((found <= level).sum())
        assert binom.sf(below - 1, len(found), level * 1.2) > IMPROBABLE, (below, level)


def test_one_odd_row_of_the_reference_is_no_alarm_for_ever():
    """None of two numbers says what windows without it measure: the odd row's variance, or what rounding has left."""
    fast = FORMS["fast"]
    odd = np.zeros((1000, 1))
    odd[0] = 1
    fitted = fast.fit(odd)
    for ones, least, most in ((0, 0.5, 1), (1, 0.2, 1), (2, 0.05, 0.8), (12, 0, 0.01)):
        window = np.zeros((500, 1))
        window[:ones] = 1
        result = fast.test(fitted, fast.summarise(fitted, window))
        assert least <= result.p_value[0] <= most, ones
        assert result.method == "resampling"
    dense = np.random.default_rng(8).normal(size=(2000, 1))
    dense[7] = np.inf
    fitted = fast.fit(dense)
    calm = np.random.default_rng(9).normal(size=(40, 500, 1))
    found = np.array([fast.test(fitted, fast.summarise(fitted, window)).p_value[0] for window in calm])
    assert binom.sf(int((found <= 0.05).sum()) - 1, len(found), 0.05) > IMPROBABLE


def test_a_constant_reference_is_left_by_few_rows_with_little_certainty():
    fast = FORMS["fast"]
    fitted = fast.fit(np.zeros((100, 2)))
    for odd, exact in ((1, 10 / 110), (2, 10 * 9 / (110 * 109)), (10, 0.0)):
        window = np.zeros((10, 2))
        window[:odd, 0] = 1
        found = fast.test(fitted, fast.summarise(fitted, window)).p_value[0]
        assert exact / 1.5 - 0.001 < found <= (1 if odd == 1 else 3 * exact + 0.002)


@pytest.mark.parametrize("change", ["mean", "scale", "correlation", "shape"])
def test_the_fast_test_finds_what_the_exact_one_finds(change):
    """Paired over windows; the whole study is benchmarks/kernel_power.py."""
    generator = np.random.default_rng(5)
    fast, exact = FastMaximumMeanDiscrepancy(frequencies=1000), MaximumMeanDiscrepancy(permutations=99)
    alarms = []
    for _ in range(3):
        reference = generator.normal(size=(600, 6))
        fitted = {detector: detector.fit(reference) for detector in (fast, exact)}
        for _ in range(12):
            window = generator.normal(size=(200, 6))
            if change == "mean":
                window += 0.1
            elif change == "scale":
                window *= 1.12
            elif change == "correlation":
                window = window * np.sqrt(0.85) + np.sqrt(0.15) * generator.normal(size=(200, 1))
            else:
                window = window * 0 + generator.exponential(size=window.shape) - 1
            alarms.append([d.test(f, d.summarise(f, window)).p_value[0] <= 0.05 for d, f in fitted.items()])
    found = np.array(alarms)
    assert found[:, 1].mean() > 0.2
    assert np.abs(np.diff(found, axis=1).sum()) <= 4  # of 36 windows
    assert (found[:, 0] != found[:, 1]).mean() < 0.2


def elsewhere():
    yield backend_of(strict.zeros((1, 1), device=strict.Device("device1")))
    try:
        yield open_backend("torch")
    except BackendUnavailable:
        return


@each_form
@pytest.mark.parametrize("backend", list(elsewhere()), ids=lambda backend: backend.namespace.__name__)
def test_every_library_measures_the_same(detector, backend):
    generator = np.random.default_rng(6)
    reference, window = generator.normal(size=(300, 4)), generator.normal(0.1, size=(170, 4))
    fitted, there = detector.fit(reference), detector.fit(backend.put(reference))
    here, summary = detector.summarise(fitted, window), detector.summarise(there, window)
    assert summary == here
    expected, found = detector.test(fitted, here), detector.test(there, summary)
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-9)
    np.testing.assert_allclose(found.p_value, expected.p_value, rtol=1e-7)


@each_form
def test_calibration_fits_once(detector):
    assert isinstance(detector, LeavesOut)
    rows = np.random.default_rng(7).normal(size=(1000, 3))
    null = block_null(detector, rows, 100)
    assert null.statistics.shape == (10, 1)
    assert np.abs(null.statistics / null.statistics.std()).max() < 5
