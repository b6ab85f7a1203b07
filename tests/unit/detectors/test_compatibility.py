"""Results in alibi-detect's shape: the numbers that its version 0.13.0 gave, and what it has no answer to."""

import numpy as np
import pytest

from detectors.compatibility import NAMES, as_alibi
from detectors.errors import InvalidParameter
from detectors.results import DriftResult, Scope

P_VALUES = [0.17770076, 0.0089635784, 4.1511297e-09, 1.1310737e-08]
UNSHIFTED_P_VALUES = [0.17770076, 0.99982572, 0.03129123, 1]


def result_with(p_values, scope=Scope.FEATURE, detector="kolmogorov_smirnov"):
    numbers = np.array(p_values, dtype=np.float64)
    return DriftResult(
        detector=detector,
        scope=scope,
        statistic=np.where(np.isnan(numbers), np.nan, 0.25),
        p_value=numbers,
        effect=np.where(np.isnan(numbers), np.nan, 0.5),
        missing=np.zeros(len(numbers), dtype=np.int64),
        reference_count=200,
        window_count=150,
        method="kstwo",
        seed=None,
    )


def data_of(p_values, **options):
    return as_alibi(result_with(p_values), **options)["data"]


def test_bonferroni_shares_the_level_out():
    data = data_of(P_VALUES)
    assert data["is_drift"] == 1
    assert type(data["is_drift"]) is int
    assert data["threshold"] == 0.0125
    assert data_of(UNSHIFTED_P_VALUES)["is_drift"] == 0


def test_the_false_discovery_rate_gives_the_threshold_that_was_reached():
    data = data_of(P_VALUES, correction="fdr")
    assert data["is_drift"] == 1
    assert data["threshold"] == pytest.approx(0.0375, abs=1e-15)
    assert type(data["threshold"]) is float


def test_the_false_discovery_rate_gives_all_thresholds_when_none_was_reached():
    data = data_of(UNSHIFTED_P_VALUES, correction="fdr")
    assert data["is_drift"] == 0
    np.testing.assert_allclose(data["threshold"], [0.0125, 0.025, 0.0375, 0.05])


def test_a_later_feature_can_carry_an_earlier_one_under_the_false_discovery_rate():
    data = data_of([0.045, 0.03], correction="fdr")  # 0.03 is not below 0.025, but 0.045 is below 0.05
    assert (data["is_drift"], data["threshold"]) == (1, 0.05)
    assert data_of([0.045, 0.03])["is_drift"] == 0


def test_features_are_judged_without_a_correction():
    data = data_of(P_VALUES, drift_type="feature", correction="fdr")
    assert data["is_drift"].tolist() == [0, 1, 1, 1]
    assert data["is_drift"].dtype == np.int64
    assert data["threshold"] == 0.05
    assert data["distance"].tolist() == [0.25] * 4
    assert data["p_val"].tolist() == P_VALUES


@pytest.mark.parametrize("drift_type", ["batch", "feature"])
@pytest.mark.parametrize("correction", ["bonferroni", "fdr"])
def test_a_p_value_at_its_threshold_is_no_drift(drift_type, correction):
    assert data_of([0.05], drift_type=drift_type, correction=correction)["is_drift"] == 0
    assert data_of([np.nextafter(0.05, 0)], drift_type=drift_type, correction=correction)["is_drift"] == 1


@pytest.mark.parametrize("correction", ["bonferroni", "fdr"])
def test_what_cannot_be_measured_is_neither_drift_nor_calm(correction):
    calm = data_of([0.5, np.nan, 0.4], correction=correction)
    assert calm["is_drift"] is None
    assert calm["undecided"] == [1]
    drift = data_of([0.001, np.nan, 0.4], correction=correction)
    assert drift["is_drift"] == 1
    assert drift["undecided"] == [1]
    assert drift["threshold"] == pytest.approx(0.05 / 3)  # an unmeasured feature is a feature


def test_a_feature_that_cannot_be_measured_is_none():
    data = data_of([0.001, np.nan, 0.4], drift_type="feature")
    assert data["is_drift"].tolist() == [1, None, 0]
    assert data["undecided"] == [1]
    assert data_of([0.001], drift_type="feature")["undecided"] == []


@pytest.mark.parametrize("drift_type", ["batch", "feature"])
def test_all_features_together_have_one_of_everything(drift_type):
    result = result_with([0.02], Scope.JOINT, "maximum_mean_discrepancy")
    data = as_alibi(result, drift_type=drift_type)["data"]
    assert data == {
        "is_drift": 1,
        "distance": 0.25,
        "p_val": 0.02,
        "threshold": 0.05,
        "distance_threshold": None,
        "undecided": [],
    }
    assert as_alibi(result, p_val=0.02)["data"]["is_drift"] == 0


def test_all_features_together_that_cannot_be_measured_are_none():
    data = as_alibi(result_with([np.nan], Scope.JOINT, "maximum_mean_discrepancy"))["data"]
    assert data["is_drift"] is None
    assert data["undecided"] == [0]


def test_meta_has_their_name_and_ours():
    meta = as_alibi(result_with(P_VALUES))["meta"]
    assert (meta["name"], meta["detector"]) == ("KSDrift", "kolmogorov_smirnov")
    assert {"name", "online", "data_type", "version", "detector_type"} <= meta.keys()
    other = as_alibi(result_with(P_VALUES, detector="mann_whitney"))["meta"]
    assert other["name"] == other["detector"] == "mann_whitney"
    assert len(set(NAMES.values())) == len(NAMES)


@pytest.mark.parametrize(
    "wrong", [{"p_val": 0.0}, {"p_val": 1.0}, {"p_val": np.nan}, {"correction": "holm"}, {"drift_type": "row"}]
)
def test_other_options_are_refused_by_name(wrong):
    with pytest.raises(InvalidParameter) as raised:
        data_of(P_VALUES, **wrong)
    assert raised.value.parameter in wrong
