"""Numbers that another implementation, in another environment, once gave for the same rows.

Kolmogorov-Smirnov: alibi-detect 0.13.0 with SciPy 1.17.1 and numpy 1.26.4, two-sided and one-sided, asymptotic.
Maximum mean discrepancy: a transcription of the published definition in float64.
"""

import numpy as np
import pytest

from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from detectors.rank.kolmogorov import survival
from detectors.rank.kolmogorov_smirnov import KolmogorovSmirnov

STATISTICS = {
    "two-sided": [0.1166667, 0.1750000, 0.3350000, 0.3266667],
    "greater": [0.10, 0.175, 0.335, 0.3266667],
    "less": [0.1166667, 0, 0.0533333, 0],
}
P_VALUES = {
    "two-sided": [0.17770076, 0.0089635784, 4.1511297e-09, 1.1310737e-08],
    "greater": [0.16373208, 0.0044419286, 3.2079972e-09, 8.3213241e-09],
    "less": [0.08677433, 1, 0.58367401, 1],
}
UNSHIFTED_P_VALUES = [0.17770076, 0.99982572, 0.03129123, 1]


def reference_and_window(shift=0.15):
    i, j, f = np.arange(200)[:, np.newaxis], np.arange(150)[:, np.newaxis], np.arange(4)
    return np.sin(0.7 * i * (f + 1) + f), np.sin(0.9 * j * (f + 1) + 2 * f) + shift * f


@pytest.mark.parametrize("alternative", STATISTICS)
def test_kolmogorov_smirnov(alternative):
    reference, window = reference_and_window()
    detector = KolmogorovSmirnov(alternative)
    fitted = detector.fit(reference)
    result = detector.test(fitted, detector.summarise(fitted, window))
    np.testing.assert_allclose(result.statistic, STATISTICS[alternative], atol=5e-8)
    # The numbers were stored as float32, hence the tolerance.
    np.testing.assert_allclose(result.p_value, P_VALUES[alternative], rtol=2e-7)


def test_kolmogorov_smirnov_without_the_shift():
    reference, window = reference_and_window(shift=0)
    detector = KolmogorovSmirnov()
    fitted = detector.fit(reference)
    result = detector.test(fitted, detector.summarise(fitted, window))
    np.testing.assert_allclose(result.p_value, UNSHIFTED_P_VALUES, rtol=2e-7)


def test_kolmogorov_smirnov_critical_values():
    np.testing.assert_allclose(survival(86, np.array([0.1695106526, 0.1443651646])), [0.0125, 0.05], rtol=1e-8)


def test_maximum_mean_discrepancy():
    reference, window = reference_and_window()
    detector = MaximumMeanDiscrepancy(standardise=False)
    fitted = detector.fit(reference)
    assert fitted.bandwidth == pytest.approx(1.4697741211337, abs=1e-12)
    measured = detector.measure(fitted, detector.summarise(fitted, window))
    assert measured.statistic[0] == pytest.approx(0.0406097711160, abs=1e-12)
    assert measured.effect[0] == pytest.approx(0.0406097711160**0.5, abs=1e-12)
