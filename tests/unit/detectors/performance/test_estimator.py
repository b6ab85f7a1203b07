"""Performance without labels: calibrated, as far off as it says, and blind where nobody could see."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from detectors.errors import InvalidParameter, TooFewRows
from detectors.performance.chances import ChanceMap
from detectors.performance.estimator import BLOCKS, MINIMUM_BLOCK_ROWS, Estimator
from detectors.performance.metrics import Metric, Values, measured

LEAST = BLOCKS * MINIMUM_BLOCK_ROWS
WINDOW = 200


def stream(
    generator: np.random.Generator, count: int, *, centre: float = 0.0, spread: float = 1.0
) -> tuple[Values, Values]:
    """Scores that are too sure of themselves, and labels."""
    inputs = generator.normal(centre, spread, count)
    labels = generator.random(count) < 1 / (1 + np.exp(-inputs))
    return 1 / (1 + np.exp(-1.5 * inputs)), labels.astype(float)


def fitted(metric: Metric = Metric.ACCURACY, *, seed: int = 1, count: int = 5000) -> Estimator:
    return Estimator.fit(*stream(np.random.default_rng(seed), count), metric, 0.5, WINDOW)


@settings(max_examples=50)  # the oracle is slow
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 1)), min_size=1, max_size=60))
def test_the_map_is_isotonic_regression_between_its_levels(pairs: list[tuple[int, int]]) -> None:
    scores, labels = (np.array(each, dtype=float) for each in zip(*pairs, strict=True))
    oracle = IsotonicRegression(out_of_bounds="clip").fit(scores, labels)
    asked = np.linspace(-1, 21, 89)
    assert ChanceMap.of(scores, labels)(asked) == pytest.approx(oracle.predict(asked), abs=1e-9)


def test_the_whole_estimate_is_that_of_nannyml() -> None:
    generator = np.random.default_rng(20261126)
    reference = stream(generator, 5000)
    inputs = generator.normal(-0.5, 1, 1000)
    window = 1 / (1 + np.exp(-1.5 * inputs))
    # By nannyml.CBPE 0.13.1 (Apache-2.0), fitted on the same reference, of one chunk that is this window.
    expected = {
        Metric.ACCURACY: 0.6992662919433401,
        Metric.F1: 0.560000687495408,
        Metric.PRECISION: 0.6487340000221263,
        Metric.RECALL: 0.49262045901183565,
        Metric.ROC_AUC: 0.7450803771811751,
    }
    found = {metric: Estimator.fit(*reference, metric, 0.5, 1000).estimate(window).estimated for metric in Metric}
    assert found == pytest.approx(expected, abs=1e-6)  # which rounds sums for its area


@pytest.mark.parametrize("metric", Metric)
def test_what_is_realised_lies_in_the_interval_as_often_as_it_says(metric: Metric) -> None:
    estimator, generator, inside = fitted(metric), np.random.default_rng(2), 0
    for _ in range(200):
        scores, labels = stream(generator, WINDOW)
        estimate = estimator.estimate(scores)
        inside += estimate.lower <= measured(metric, scores, labels, 0.5) <= estimate.upper
    assert 180 <= inside <= 199  # 95 %, by an error that was itself found in 25 blocks


def test_the_interval_holds_for_rows_that_resemble_their_neighbours() -> None:
    """Where the difficulty of the rows comes in waves, blocks have them, and the interval with them."""
    generator = np.random.default_rng(3)

    def waves(count: int) -> tuple[Values, Values]:
        hidden = np.repeat(generator.normal(0, 1.5, count // 50), 50)  # which no score shows
        inputs = generator.normal(0, 1, count)
        labels = generator.random(count) < 1 / (1 + np.exp(-inputs - hidden))
        return 1 / (1 + np.exp(-inputs)), labels.astype(float)

    estimator = Estimator.fit(*waves(8000), Metric.ACCURACY, 0.5, WINDOW)
    inside = 0
    for _ in range(200):
        scores, labels = waves(WINDOW)
        estimate = estimator.estimate(scores)
        inside += estimate.lower <= measured(Metric.ACCURACY, scores, labels, 0.5) <= estimate.upper
    assert inside >= 180


def test_rows_that_move_to_the_boundary_lower_it_and_those_that_move_away_raise_it() -> None:
    estimator, generator = fitted(), np.random.default_rng(4)
    calm, close, far = (
        estimator.estimate(stream(generator, 2000, spread=spread)[0]).estimated for spread in (1.0, 0.3, 3.0)
    )
    assert close < calm - 0.05 < calm + 0.05 < far
    assert estimator.realised == pytest.approx(calm, abs=0.02)


def test_labels_that_turn_over_while_scores_stay_are_not_seen() -> None:
    estimator = fitted()
    scores, labels = stream(np.random.default_rng(5), 2000)
    assert estimator.estimate(scores).estimated == pytest.approx(
        measured(Metric.ACCURACY, scores, labels, 0.5), abs=0.05
    )
    assert measured(Metric.ACCURACY, scores, 1 - labels, 0.5) < 0.4


def test_fewer_rows_say_less_and_more_are_not_said_to_say_more() -> None:
    estimator, scores = fitted(), stream(np.random.default_rng(6), 2000)[0]
    widths = [
        estimate.upper - estimate.lower for estimate in map(estimator.estimate, (scores[:50], scores[:200], scores))
    ]
    assert widths == pytest.approx([widths[1] * 2, widths[1], widths[1]])


def test_scores_that_are_missing_are_left_out() -> None:
    estimator, scores = fitted(), stream(np.random.default_rng(7), 100)[0]
    holes = np.insert(scores, [0, 50], np.nan)
    assert estimator.estimate(holes) == estimator.estimate(scores)
    assert np.isnan(estimator.estimate(np.full(9, np.nan)).estimated)


def test_a_metric_that_is_not_defined_for_a_window_is_not_estimated() -> None:
    estimate = fitted(Metric.PRECISION).estimate(np.full(100, 0.1))
    assert np.isnan([estimate.estimated, estimate.lower, estimate.upper]).all()


def test_rows_without_a_label_are_left_out_of_the_reference() -> None:
    scores, labels = stream(np.random.default_rng(8), 1000)
    holes = np.insert(labels, [0, 500], np.nan)
    estimator = Estimator.fit(np.insert(scores, [0, 500], 0.5), holes, Metric.ACCURACY, 0.5, WINDOW)
    assert (estimator.labelled_rows, estimator.block_rows) == (1000, 50)
    assert estimator.realised == measured(Metric.ACCURACY, scores, labels, 0.5)


def test_rows_without_a_prediction_are_left_out_likewise() -> None:
    scores, labels = stream(np.random.default_rng(8), 1000)
    holes = np.insert(scores, [0, 500], np.nan)
    estimator = Estimator.fit(holes, np.insert(labels, [0, 500], 1.0), Metric.ACCURACY, 0.5, WINDOW)
    assert (estimator.labelled_rows, estimator.block_rows) == (1000, 50)
    assert estimator.realised == measured(Metric.ACCURACY, scores, labels, 0.5)


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"scores": 1.01}, "scores"),
        ({"scores": -0.01}, "scores"),
        ({"labels": 2.0}, "labels"),
        ({"labels": 0.5}, "labels"),
    ],
)
def test_what_is_no_probability_and_no_label_is_refused(change: dict[str, float], parameter: str) -> None:
    scores, labels = stream(np.random.default_rng(9), LEAST)
    given = {"scores": scores, "labels": labels}
    for name, value in change.items():
        given[name][7] = value
    with pytest.raises(InvalidParameter) as raised:
        Estimator.fit(given["scores"], given["labels"], Metric.ACCURACY, 0.5, WINDOW)
    assert raised.value.parameter == parameter


def test_labels_that_are_all_the_same_are_refused() -> None:
    scores, labels = stream(np.random.default_rng(10), LEAST)
    with pytest.raises(InvalidParameter, match="all the same"):
        Estimator.fit(scores, np.ones_like(labels), Metric.ACCURACY, 0.5, WINDOW)


def test_too_few_labels_are_refused_with_how_many_would_do() -> None:
    scores, labels = stream(np.random.default_rng(11), LEAST)
    Estimator.fit(scores, labels, Metric.ACCURACY, 0.5, WINDOW)
    labels[3] = np.nan
    with pytest.raises(TooFewRows, match="399 rows have a prediction and a label, and at least 400 are needed"):
        Estimator.fit(scores, labels, Metric.ACCURACY, 0.5, WINDOW)


def test_a_metric_that_blocks_rarely_have_is_refused() -> None:
    scores, labels = stream(np.random.default_rng(12), LEAST)
    with pytest.raises(TooFewRows, match="precision is not defined in most blocks of 20 rows"):
        Estimator.fit(scores * 0.5, labels, Metric.PRECISION, 0.499, WINDOW)
