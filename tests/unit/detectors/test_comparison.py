"""The library in three lines."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import detectors
from detectors.comparison import against, compare
from detectors.compatibility import as_alibi
from detectors.errors import InvalidParameter, InvalidRows, UnknownDetector
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from detectors.rank.kolmogorov_smirnov import KolmogorovSmirnov
from detectors.registry import DETECTORS, OPTIONAL_DETECTORS
from tests.unit.detectors.frames import Frame

ROOT = Path(__file__).resolve().parents[3]


def rows():
    generator = np.random.default_rng(6)
    return generator.normal(size=(80, 2)), generator.normal(0.8, size=(60, 2))


def test_a_fitted_detector_says_what_the_detector_says():
    reference, window = rows()
    detector = KolmogorovSmirnov("less")
    fitted = detector.fit(reference)
    expected = detector.test(fitted, detector.summarise(fitted, window))
    test = against(detector, reference)
    for found in (test(window), compare(reference, window, detector)):
        np.testing.assert_array_equal(found.p_value, expected.p_value)
        np.testing.assert_array_equal(found.statistic, expected.statistic)
    assert test.reference.digest == fitted.digest


def test_a_name_and_parameters_are_a_detector():
    reference, window = rows()
    test = against("kolmogorov_smirnov", reference, alternative="greater")
    assert test.detector == KolmogorovSmirnov("greater")
    assert compare(reference, window).detector == "kolmogorov_smirnov"
    found = compare(reference, window, "maximum_mean_discrepancy", permutations=19, seed=3)
    assert (found.seed, found.p_value.tolist()) == (3, [1 / 20])


def test_names_and_parameters_that_there_are_not_are_refused():
    reference, _ = rows()
    with pytest.raises(UnknownDetector, match="kolmogorov_smirnov"):
        against("smirnov", reference)
    with pytest.raises(InvalidParameter, match="alternativ"):
        against("kolmogorov_smirnov", reference, alternativ="less")
    with pytest.raises(InvalidParameter, match="already"):
        against(KolmogorovSmirnov(), reference, alternative="less")


def test_predict_answers_as_alibi_does():
    reference, window = rows()
    test = against(KolmogorovSmirnov(), reference)
    assert test.predict(window)["data"]["is_drift"] == 1
    features = test.predict(window, "feature", p_val=0.01)
    expected = as_alibi(test(window), p_val=0.01, drift_type="feature")
    assert features["meta"] == expected["meta"]
    assert features["data"]["is_drift"].tolist() == expected["data"]["is_drift"].tolist()
    assert against(MaximumMeanDiscrepancy(), reference).predict(reference)["data"]["is_drift"] == 0


def test_data_frames_are_rows_whose_columns_have_to_agree():
    reference, window = rows()
    test = against(KolmogorovSmirnov(), Frame(a=reference[:, 0], b=reference[:, 1]))
    expected = compare(reference, window).p_value
    np.testing.assert_array_equal(test(Frame(a=window[:, 0], b=window[:, 1])).p_value, expected)
    np.testing.assert_array_equal(test(window).p_value, expected)
    with pytest.raises(InvalidRows, match="in this order"):
        test(Frame(b=window[:, 0], a=window[:, 1]))


def test_every_public_name_and_registered_detector_can_be_imported_from_the_package():
    for name in detectors.__all__:
        assert getattr(detectors, name) is not None
    for detector in (*DETECTORS, *OPTIONAL_DETECTORS):
        assert getattr(detectors, detector.__name__) is detector
    assert {*detectors.__all__, "KolmogorovSmirnov"} <= set(dir(detectors))
    assert not hasattr(detectors, "NoSuchDetector")
    assert not hasattr(detectors, "no_such_module")


def test_importing_the_package_imports_nothing_else():
    program = (
        "import sys; before = set(sys.modules); import detectors; new = set(sys.modules) - before\n"
        "assert not {name.partition('.')[0] for name in new} & {'numpy', 'scipy', 'array_api_compat'}, new\n"
        "from detectors import KolmogorovSmirnov, against, compare, explain, effect_sizes, as_alibi\n"
        "from detectors import *\n"
        "optional = {'torch', 'sklearn', 'matplotlib', 'pandas', 'polars', 'alibi_detect'}\n"
        "assert not optional & set(sys.modules), optional & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, check=True, timeout=60)
