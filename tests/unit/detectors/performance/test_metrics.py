"""Metrics from chances: what NannyML finds, and with labels in their place what counting finds."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from detectors.performance.metrics import Metric, Values, measured

CHANCES = np.array([0.02, 0.9, 0.35, 0.35, 0.61, 0.5, 0.77, 0.08, 0.49, 0.95, 0.61, 0.2])
OF_NANNYML = {
    # By the functions estimate_<metric> of nannyml 0.13.1 (Apache-2.0), of these chances as calibrated probabilities.
    0.5: {
        Metric.ACCURACY: 0.7374999999999999,
        Metric.F1: 0.7337278106508875,
        Metric.PRECISION: 0.7233333333333333,
        Metric.RECALL: 0.7444253859348199,
        Metric.ROC_AUC: 0.8292921261790716,
    },
    0.61: {
        Metric.ACCURACY: 0.7374999999999999,
        Metric.F1: 0.7091412742382271,
        Metric.PRECISION: 0.7679999999999999,
        Metric.RECALL: 0.6586620926243568,
        Metric.ROC_AUC: 0.8292921261790716,
    },
}
BY_COUNTING = {
    Metric.ACCURACY: oracle.accuracy_score,
    Metric.F1: oracle.f1_score,
    Metric.PRECISION: oracle.precision_score,
    Metric.RECALL: oracle.recall_score,
}
tenths = st.integers(0, 10).map(lambda number: number / 10)


def arrays(pairs: list[tuple[float, float]]) -> tuple[Values, Values]:
    scores, chances = zip(*pairs, strict=True)
    return np.array(scores, dtype=float), np.array(chances, dtype=float)


@pytest.mark.parametrize("threshold", OF_NANNYML)
def test_they_are_those_of_nannyml(threshold: float) -> None:
    found = {metric: measured(metric, CHANCES, CHANCES, threshold) for metric in Metric}
    assert found == pytest.approx(OF_NANNYML[threshold], rel=1e-12)


@settings(max_examples=40)  # the oracle is slow
@given(st.lists(st.tuples(tenths, st.integers(0, 1)), min_size=1, max_size=30))
def test_labels_in_the_place_of_chances_give_the_realised_metrics(pairs: list[tuple[float, float]]) -> None:
    scores, labels = arrays(pairs)
    for metric, counted in BY_COUNTING.items():
        found = measured(metric, scores, labels, 0.5)
        expected = counted(labels, scores >= 0.5, **({} if metric is Metric.ACCURACY else {"zero_division": np.nan}))
        assert found == pytest.approx(expected, nan_ok=True)
    area = oracle.roc_auc_score(labels, scores) if len(set(labels)) == 2 else float("nan")
    assert measured(Metric.ROC_AUC, scores, labels, 0.5) == pytest.approx(area, nan_ok=True)


@given(st.lists(st.tuples(tenths, tenths), min_size=1, max_size=6))
def test_accuracy_is_the_mean_over_all_labels_that_there_may_be(pairs: list[tuple[float, float]]) -> None:
    scores, chances = arrays(pairs)
    expected = 0.0
    for labels in product((0.0, 1.0), repeat=len(scores)):
        weight = float(np.prod(np.where(np.array(labels) == 1, chances, 1 - chances)))
        expected += weight * measured(Metric.ACCURACY, scores, np.array(labels), 0.5)
    assert measured(Metric.ACCURACY, scores, chances, 0.5) == pytest.approx(expected)


@given(st.lists(st.tuples(tenths, tenths), min_size=1, max_size=20))
def test_the_order_of_rows_does_not_matter(pairs: list[tuple[float, float]]) -> None:
    found = [[measured(metric, *arrays(order), 0.5) for metric in Metric] for order in (pairs, sorted(pairs))]
    assert found[0] == pytest.approx(found[1], nan_ok=True)
