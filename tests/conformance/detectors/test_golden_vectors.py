"""Numbers that another implementation, in another environment, once gave for the same rows.

`golden/alibi-0.13.json`: alibi-detect 0.13.0 with SciPy 1.17.1 and numpy 1.26.4, made by `golden/make_golden.py`.
The numbers in this file: the same for Kolmogorov-Smirnov, asymptotic, as they were first published here; and for
maximum mean discrepancy a transcription of the published definition in float64.
"""

import json

import numpy as np
import pytest

from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from detectors.rank.kolmogorov import survival
from detectors.rank.kolmogorov_smirnov import KolmogorovSmirnov
from detectors.registry import create
from tests.conformance.detectors.golden.make_golden import GOLDEN, ROWS

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


OURS = {
    "KSDrift": "kolmogorov_smirnov",
    "CVMDrift": "cramer_von_mises",
    "ChiSquareDrift": "chi_square",
    "FETDrift": "fisher_exact",
    "MMDDrift": "maximum_mean_discrepancy",
}
CASES = json.loads(GOLDEN.read_text())["cases"]


def case_name(case):
    said = "-".join(f"{value}" for value in case["parameters"].values())
    return f"{case['detector']}-{said or 'defaults'}-{case['rows']}"


def ours(name, parameters, columns, rows):
    reference, window = ROWS[rows]()
    detector = create(name, parameters)
    fitted = detector.fit(reference[:, columns])
    return detector.test(fitted, detector.summarise(fitted, window[:, columns]))


def assert_float32(found, expected, atol=1e-40):
    """Theirs were rounded to float32, which for the smallest p-values is coarser still."""
    np.testing.assert_allclose(found, np.array(expected), rtol=2**-23, atol=atol)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["detector"] in OURS and "p_val" in case], ids=case_name
)
def test_tests_of_single_features_agree_with_alibi_detect(case):
    result = ours(OURS[case["detector"]], case["parameters"], slice(None), case["rows"])
    # SciPy has the limiting law of Cramér and von Mises's statistic as a sum that is taken from one.
    assert_float32(result.p_value, case["p_val"], atol=1e-10 if case["detector"] == "CVMDrift" else 1e-40)
    if case["detector"] != "FETDrift":  # theirs is the odds ratio, which is small for one direction
        assert_float32(result.statistic, case["distance"])


@pytest.mark.parametrize("case", [case for case in CASES if case["detector"] == "MMDDrift"], ids=case_name)
def test_maximum_mean_discrepancy_agrees_with_alibi_detect(case):
    sigma = case["parameters"]["sigma"]
    parameters = {"standardise": False, "permutations": 1, "bandwidth": sigma}
    result = ours("maximum_mean_discrepancy", parameters, slice(None), case["rows"])
    # The bandwidth that theirs takes from the reference is a float32 number.
    np.testing.assert_allclose(result.statistic, case["distance"], rtol=0, atol=1e-13 if sigma else 1e-7)


def test_mixed_columns_agree_with_alibi_detect():
    [case] = [case for case in CASES if case["detector"] == "TabularDrift"]
    columns = {"chi_square": case["parameters"]["categories"], "kolmogorov_smirnov": [0, 2]}
    for name, chosen in columns.items():
        result = ours(name, {}, chosen, case["rows"])
        assert_float32(result.statistic, np.array(case["distance"])[chosen])
        assert_float32(result.p_value, np.array(case["p_val"])[chosen])
