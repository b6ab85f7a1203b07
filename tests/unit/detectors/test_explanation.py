"""What an explanation says of rows, and that it stays bounded and plain whatever they are."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.effects import EffectSizes, effect_sizes
from detectors.errors import InvalidParameter, InvalidRows
from detectors.explanation import Detail, WitnessRows, explain, witness_rows
from detectors.kernel.aggregated import AggregatedMaximumMeanDiscrepancy
from detectors.kernel.cross_maximum_mean_discrepancy import CrossMaximumMeanDiscrepancy
from detectors.kernel.fast_maximum_mean_discrepancy import FastMaximumMeanDiscrepancy
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from detectors.rank.kolmogorov_smirnov import KolmogorovSmirnov
from detectors.results import DriftResult, Scope
from tests.conformance.detectors.strategies import reference_and_windows
from tests.unit.detectors.frames import Frame


def result_with(effect, detector="kolmogorov_smirnov", scope=Scope.FEATURE):
    numbers = np.array(effect, dtype=np.float64)
    return DriftResult(
        detector=detector,
        scope=scope,
        statistic=numbers * 2,
        p_value=numbers / 2,
        effect=numbers,
        missing=np.arange(len(numbers)),
        reference_count=100,
        window_count=50,
        method="kstwo",
        seed=None,
    )


def drifted(features=4):
    """Feature 2 is shifted a lot, feature 0 a little, feature 3 is missing more often."""
    generator = np.random.default_rng(8)
    reference, window = generator.normal(size=(400, features)), generator.normal(size=(200, features))
    window[:, 2] += 2
    window[:, 0] += 0.5
    window[:100, 3] = np.nan
    return reference, window


def column(*values):
    return np.array(values, dtype=np.float64).reshape(-1, 1)


def only(reference, window, **detail):
    (feature,) = explain(reference, window, detail=Detail(**detail)).features
    return feature


def test_features_come_in_the_order_of_what_moved_with_their_effects_and_measurements():
    reference, window = drifted()
    result = result_with([0.1, 0.2, 0.3, np.nan])
    found = explain(reference, window, [result, result_with([0.7], "maximum_mean_discrepancy", Scope.JOINT)])
    assert [feature.column for feature in found.features] == [2, 3, 0, 1]
    assert found.features[0].feature == "feature_2"
    effects = effect_sizes(reference, window)
    assert found.features[0].effects["wasserstein"] == effects.wasserstein[2]
    assert found.features[1].share_moved == 0.5
    (measured,) = found.features[0].measured
    assert (measured.detector, measured.effect, measured.statistic) == ("kolmogorov_smirnov", 0.3, 0.6)
    assert (measured.p_value, measured.missing) == (0.15, 2)
    assert [(joint.detector, joint.effect) for joint in found.joint] == [("maximum_mean_discrepancy", 0.7)]
    assert (found.reference_count, found.window_count, found.features_left_out) == (400, 200, 0)
    assert isinstance(found.effects, EffectSizes)


def test_a_detector_can_be_named_to_order_by():
    reference, window = drifted()
    result = result_with([0.4, np.nan, 0.4, 0.9])
    found = explain(reference, window, result, order_by="kolmogorov_smirnov")
    assert [feature.column for feature in found.features] == [3, 0, 2, 1]
    with pytest.raises(InvalidParameter, match="mann_whitney"):
        explain(reference, window, result, order_by="mann_whitney")


def test_the_real_detectors_results_are_explained():
    generator = np.random.default_rng(2)
    reference, window = generator.normal(size=(60, 3)), generator.normal([0, 0, 1], size=(40, 3))
    detector = KolmogorovSmirnov()
    fitted = detector.fit(reference)
    result = detector.test(fitted, detector.summarise(fitted, window))
    first = explain(reference, window, result).features[0]
    assert first.column == 2
    assert first.measured[0].statistic == first.effects["kolmogorov_smirnov"] == first.share_moved


def test_quantiles_are_the_least_values_with_that_share_below():
    generator = np.random.default_rng(3)
    reference, window = generator.normal(size=(97, 1)), generator.normal(size=(200, 1))
    found = only(reference, window).quantiles
    for values, quantiles in ((reference, found.reference), (window, found.window)):
        for probability, quantile in zip(found.probabilities, quantiles, strict=True):
            assert (values <= quantile).mean() >= probability - 1e-12
            assert (values < quantile).mean() < max(probability, 1e-9)
    assert (found.reference[0], found.reference[-1]) == (reference.min(), reference.max())


@pytest.mark.parametrize("count", [1, 7, 20, 100, 1000])
def test_quantiles_of_whole_numbers_of_rows_are_those_rows(count):
    probabilities = tuple(np.arange(1, count + 1) / count)
    rows = np.random.default_rng(1).permutation(count).reshape(-1, 1)
    found = only(rows, rows, probabilities=probabilities).quantiles
    np.testing.assert_array_equal(found.reference, np.arange(count))


def test_histograms_count_like_numpy_and_what_is_outside_apart():
    generator = np.random.default_rng(4)
    reference, window = generator.normal(size=(1000, 1)), generator.normal(1, 2, size=(300, 1))
    window[:30] = np.nan
    feature = only(reference, window, bins=7)
    found = feature.histogram
    assert feature.categories is None
    np.testing.assert_array_equal(found.reference, np.histogram(reference, found.edges)[0])
    np.testing.assert_array_equal(found.window, np.histogram(window[30:], found.edges)[0])
    np.testing.assert_allclose(np.diff(found.edges), np.diff(found.edges)[0])
    assert len(found.reference) == 7
    assert found.window_below == (window < found.edges[0]).sum() > 0
    assert found.window_above == (window > found.edges[-1]).sum() > 0
    assert found.window.sum() + found.window_below + found.window_above + feature.window_missing == 300
    assert found.reference.sum() + found.reference_below + found.reference_above == 1000
    assert found.reference_below <= 5 >= found.reference_above


def test_an_outlier_of_the_reference_does_not_empty_the_other_bins():
    reference = np.append(np.linspace(0, 1, 999), 1e308).reshape(-1, 1)
    found = only(reference, reference, bins=10).histogram
    assert found.reference.min() > 90
    assert found.reference_above == 5


def test_a_reference_of_mostly_one_value_has_the_edges_of_all_its_values():
    reference = np.append(np.zeros(999), 10.0).reshape(-1, 1)
    found = only(reference, np.linspace(-1, 9, 50).reshape(-1, 1), bins=10).histogram
    assert found.edges.tolist() == list(range(11))
    assert found.window_below == 5


def test_a_constant_reference_has_the_edges_of_the_window_as_well():
    found = only(np.full((100, 1), 2.0), np.linspace(0, 5, 50).reshape(-1, 1), bins=5).histogram
    assert found.edges.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.reference.tolist() == [0, 0, 100, 0, 0]


def test_the_largest_numbers_make_edges_without_overflow():
    generator = np.random.default_rng(5)
    rows = generator.choice([-1.0, 1.0], size=(40, 1)) * generator.uniform(1e308, 1.7e308, size=(40, 1))
    found = only(rows, np.array([[np.inf], [-np.inf]]), bins=4).histogram
    assert np.isfinite(found.edges).all()
    assert (found.reference.sum(), found.window_below, found.window_above) == (40, 1, 1)


def test_neighbouring_numbers_make_as_many_bins_as_there_is_room_for():
    rows = np.repeat([1.0, np.nextafter(1.0, 2)], 2).reshape(-1, 1)
    found = only(rows, rows, bins=20).histogram
    assert found.edges.tolist() == [1.0, np.nextafter(1.0, 2)]
    assert found.reference.tolist() == [4]


def test_few_values_are_counted_one_by_one():
    reference, window = column(*[0] * 30, *[1] * 20, *[7] * 10), column(*[0] * 10, *[7] * 30, *[-0.0] * 5, np.nan)
    feature = only(reference, window)
    assert feature.histogram is None
    assert feature.categories.values.tolist() == [0, 1, 7]
    assert feature.categories.reference.tolist() == [30, 20, 10]
    assert feature.categories.window.tolist() == [15, 0, 30]
    assert (feature.categories.reference_other, feature.categories.window_other) == (0, 0)
    assert feature.window_missing == 1
    assert feature.share_moved == feature.effects["total_variation"]


def test_the_less_frequent_categories_are_counted_together():
    reference, window = column(*[0] * 30, *[1] * 2, *[7] * 10), column(*[0] * 10, *[7] * 30, *[1] * 3)
    found = only(reference, window, categories=2).categories
    assert found.values.tolist() == [0, 7]
    assert (found.reference_other, found.window_other) == (2, 3)


@pytest.mark.parametrize(("reference", "window"), [(0, 5), (5, 0), (0, 0), (1, 1)])
def test_samples_without_values_are_explained_as_far_as_they_go(reference, window):
    feature = only(np.full((reference, 1), 3.0), np.full((window, 1), 3.0))
    assert np.isnan(feature.quantiles.reference).all() == (reference == 0)
    assert np.isnan(feature.quantiles.window).all() == (window == 0)
    assert feature.histogram is None
    if reference or window:
        assert feature.categories.reference.tolist() == [reference]
        assert feature.categories.window.tolist() == [window]


def test_a_feature_that_is_missing_altogether_comes_first():
    reference, window = drifted()
    window[:, 1] = np.nan
    first = explain(reference, window).features[0]
    assert (first.column, first.share_moved, first.window_missing) == (1, 1.0, 200)


def test_an_explanation_is_bounded():
    generator = np.random.default_rng(1)
    reference, window = generator.normal(size=(200, 60)), generator.normal(size=(100, 60))
    found = explain(reference, window, detail=Detail(features=3, bins=5, probabilities=(0.5,)))
    assert (len(found.features), found.features_left_out) == (3, 57)
    assert all(len(feature.histogram.reference) == 5 for feature in found.features)
    assert all(len(feature.quantiles.window) == 1 for feature in found.features)
    shares = [feature.share_moved for feature in found.features]
    assert shares == sorted(effect_sizes(reference, window).share_moved, reverse=True)[:3]
    assert len(json.dumps(found.as_dict())) < 5000


@given(reference_and_windows(windows=1), st.sampled_from([np.nan, np.inf, -np.inf, 0.0]))
@settings(max_examples=100)
def test_whatever_the_rows_the_dictionary_is_json_without_nan(rows, odd):
    reference, window = (part.copy() for part in rows)
    window[:1] = odd
    reference[:1, 0] = odd
    features = reference.shape[1]
    found = explain(reference, window, result_with([np.nan] * features)).as_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert "effects" not in found
    for feature in found["features"]:
        for sample, count in (("reference", len(reference)), ("window", len(window))):
            drawn = feature["histogram"] or feature["categories"]
            inside = sum(drawn[sample]) if drawn else 0
            outside = sum(drawn.get(f"{sample}_{place}", 0) for place in ("below", "above", "other")) if drawn else 0
            assert inside + outside + feature[f"{sample}_missing"] == count


def test_names_are_those_given_or_the_columns():
    reference, window = drifted(4)
    assert explain(reference, window, features=["a", "b", "c", "d"]).features[0].feature == "c"
    frames = [Frame(**{f"x{at}": rows[:, at] for at in range(4)}) for rows in (reference, window)]
    assert explain(*frames).features[0].feature == "x2"
    with pytest.raises(InvalidParameter, match="1 names for 4"):
        explain(reference, window, features=["a"])
    with pytest.raises(InvalidRows, match="in this order"):
        explain(Frame(a=[1.0]), Frame(b=[1.0]))


def test_results_of_other_rows_are_refused():
    reference, window = drifted()
    with pytest.raises(InvalidParameter, match="measured 3 features"):
        explain(reference, window, result_with([0.1, 0.2, 0.3]))


@pytest.mark.parametrize("wrong", [{"features": 0}, {"bins": 1001}, {"categories": 1.5}, {"probabilities": (0.5, 1.5)}])
def test_details_without_bounds_are_refused(wrong):
    with pytest.raises(InvalidParameter) as raised:
        Detail(**wrong)
    assert raised.value.parameter in wrong


def kernel_reference(rows):
    detector = MaximumMeanDiscrepancy(permutations=1)
    return detector, detector.fit(rows)


def test_witness_rows_are_those_that_the_reference_has_none_of():
    generator = np.random.default_rng(7)
    reference, window = generator.normal(size=(200, 2)), generator.normal(size=(60, 2))
    window[40:] += 6
    window[3, 0] = np.nan
    detector, fitted = kernel_reference(reference)
    found = witness_rows(detector, fitted, window, limit=15)
    assert found.detector == "maximum_mean_discrepancy"
    assert len(set(found.rows.tolist())) == 15
    assert (found.rows >= 40).all()
    assert (np.diff(found.values) <= 0).all()
    assert (found.values > 0).all()
    everything = witness_rows(detector, fitted, window, limit=1000)
    assert 3 not in everything.rows
    assert len(everything.rows) < 60
    assert len(witness_rows(detector, fitted, window, limit=0).rows) == 0


@pytest.mark.parametrize(
    "detector",
    [
        AggregatedMaximumMeanDiscrepancy(permutations=1),
        CrossMaximumMeanDiscrepancy(),
        FastMaximumMeanDiscrepancy(frequencies=500),
    ],
    ids=lambda detector: detector.name,
)
def test_all_forms_of_the_discrepancy_have_witness_rows(detector):
    generator = np.random.default_rng(8)
    reference, window = generator.normal(size=(200, 2)), generator.normal(size=(60, 2))
    window[40:] += 6
    window[3, 0] = np.nan
    fitted = detector.fit(reference)
    found = witness_rows(detector, fitted, window, limit=15)
    assert found.detector == detector.name
    assert len(set(found.rows.tolist())) == 15
    assert (found.rows >= 40).all()
    assert 3 not in witness_rows(detector, fitted, window, limit=1000).rows
    assert len(witness_rows(detector, fitted, window[:0]).rows) == 0
    exact, known = kernel_reference(reference)
    if detector.name != "aggregated_maximum_mean_discrepancy":  # which has another bandwidth
        tolerance = 0.1 if detector.name.startswith("fast") else 1e-12
        np.testing.assert_allclose(detector.witness(fitted, window), exact.witness(known, window), atol=tolerance)


def test_the_witness_of_several_bandwidths_is_that_of_the_one_that_found_it():
    generator = np.random.default_rng(9)
    reference, window = generator.uniform(size=(300, 1)), generator.uniform(size=(200, 1))
    window[150:] = 0.5 + generator.normal(size=(50, 1)) / 500  # far narrower than the spread as a whole
    detector = AggregatedMaximumMeanDiscrepancy(permutations=1)
    narrow, wide = detector.witness(detector.fit(reference), window), kernel_reference(reference)
    carrying = np.argsort(-narrow)[:40]
    assert (carrying >= 150).mean() > 0.9
    assert narrow.max() > 2 * wide[0].witness(wide[1], window).max()


def test_witness_rows_are_part_of_an_explanation():
    rows = np.random.default_rng(1).normal(size=(50, 2))
    witnesses = WitnessRows("maximum_mean_discrepancy", np.array([4, 2]), np.array([0.5, 0.25]))
    found = explain(rows, rows, witnesses=[witnesses]).as_dict()
    expected = {"detector": "maximum_mean_discrepancy", "rows": [4, 2], "values": [0.5, 0.25]}
    assert found["witnesses"] == [expected]


def test_a_detector_without_a_witness_function_is_refused():
    detector = KolmogorovSmirnov()
    reference = detector.fit(np.ones((3, 1)))
    with pytest.raises(InvalidParameter, match="no witness function"):
        witness_rows(detector, reference, np.ones((3, 1)))
