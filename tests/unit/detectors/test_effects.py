"""Effect sizes against SciPy feature by feature, and their definitions where SciPy has none."""

from dataclasses import fields

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, mannwhitneyu, wasserstein_distance

from detectors.effects import EffectSizes, effect_sizes
from detectors.errors import InvalidRows
from tests.conformance.detectors.strategies import reference_and_windows, rows_like

LARGEST = np.finfo(np.float64).max
NAMES = [field.name for field in fields(EffectSizes)]


def column(*values):
    return np.array(values, dtype=np.float64).reshape(-1, 1)


def with_gaps(generator, rows):
    return np.where(generator.uniform(size=rows.shape) < 0.2, np.nan, rows)


@pytest.mark.parametrize("digits", [None, 1, 0])
@pytest.mark.parametrize("gaps", [False, True])
def test_effects_are_those_of_scipy_feature_by_feature(digits, gaps):
    generator = np.random.default_rng(4)
    reference, window = generator.normal(5, 2, size=(300, 12)), generator.normal(5.5, 3, size=(130, 12))
    if digits is not None:
        reference, window = reference.round(digits), window.round(digits)
    if gaps:
        reference, window = with_gaps(generator, reference), with_gaps(generator, window)
    found = effect_sizes(reference, window)
    for feature in range(12):
        r, w = (rows[~np.isnan(rows[:, feature]), feature] for rows in (reference, window))
        assert found.kolmogorov_smirnov[feature] == pytest.approx(ks_2samp(r, w, method="asymp").statistic, abs=1e-15)
        assert found.wasserstein[feature] == pytest.approx(wasserstein_distance(r, w), rel=1e-12)
        assert found.standardised_wasserstein[feature] == pytest.approx(wasserstein_distance(r, w) / r.std(), rel=1e-12)
        assert found.standardised_shift[feature] == pytest.approx((w.mean() - r.mean()) / r.std(), rel=1e-12)
        superiority = mannwhitneyu(w, r).statistic / (len(r) * len(w))
        assert found.probability_of_superiority[feature] == pytest.approx(superiority, rel=1e-14)
        assert found.reference_unit[feature] == pytest.approx(r.std(), rel=1e-13)
        missing = np.isnan(window[:, feature]).mean() - np.isnan(reference[:, feature]).mean()
        assert found.missing_rate_change[feature] == pytest.approx(missing, abs=1e-15)


@given(reference_and_windows(windows=1, least=1))
@settings(max_examples=100)
def test_rank_effects_are_those_of_scipy_for_odd_rows(rows):
    reference, window = rows
    found = effect_sizes(reference, window)
    for feature in range(reference.shape[1]):
        r, w = reference[:, feature], window[:, feature]
        assert found.kolmogorov_smirnov[feature] == pytest.approx(ks_2samp(r, w, method="asymp").statistic, abs=1e-15)
        pairs = (w[:, np.newaxis] > r).mean() + (w[:, np.newaxis] == r).mean() / 2
        assert found.probability_of_superiority[feature] == pytest.approx(pairs, abs=1e-12)


@given(reference_and_windows(windows=1), st.data())
@settings(max_examples=150)
def test_whatever_the_rows_effects_are_in_range_or_nan(rows, data):
    reference, window = (part.copy() for part in rows)
    for part in (reference, window):
        if part.size:
            part.flat[data.draw(st.integers(0, part.size - 1))] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    found = effect_sizes(reference, window)
    for name in NAMES:
        values = getattr(found, name)
        assert values.shape == (reference.shape[1],)
        assert values.dtype == np.float64
        assert not np.isinf(values).any()
    present = ~np.isnan(reference).all(axis=0) & ~np.isnan(window).all(axis=0)
    for name in ("kolmogorov_smirnov", "probability_of_superiority", "share_moved"):
        values = getattr(found, name)[present]
        assert ((values >= 0) & (values <= 1 + 1e-12)).all(), name
    assert (found.wasserstein[present] >= 0).all()
    assert (found.reference_unit[present] > 0).all()


@given(rows_like(3, least=1))
def test_rows_do_not_differ_from_themselves(rows):
    found = effect_sizes(rows, rows[::-1])
    for name in ("kolmogorov_smirnov", "wasserstein", "standardised_wasserstein", "missing_rate_change"):
        assert (getattr(found, name) == 0).all(), name
    assert (found.probability_of_superiority == 0.5).all()
    np.testing.assert_allclose(found.standardised_shift, 0, atol=1e-12)
    assert (found.share_moved == 0).all()


def test_the_largest_numbers_overflow_nowhere():
    reference = column(-1e308, 1e308, 0, 0)
    found = effect_sizes(reference, reference + column(0, 0, 1e308, 1e308))
    assert found.standardised_shift[0] == pytest.approx(0.5 / np.sqrt(0.5))
    assert found.wasserstein[0] == pytest.approx(5e307)
    assert found.standardised_wasserstein[0] == pytest.approx(0.5 / np.sqrt(0.5))


def test_what_lies_beyond_float64_is_its_largest_number():
    found = effect_sizes(column(-np.inf), column(np.inf))
    assert found.wasserstein[0] == LARGEST
    assert found.standardised_wasserstein[0] == 2.0  # of the constant's magnitude
    assert effect_sizes(column(0, 5e-324), column(-1e308)).standardised_shift[0] == -LARGEST


def test_the_smallest_numbers_keep_their_shift():
    found = effect_sizes(column(0, 1e-320), column(1e-320, 2e-320))
    assert found.standardised_shift[0] == pytest.approx(2, rel=1e-3)
    assert found.wasserstein[0] == pytest.approx(1e-320, rel=1e-3)


def test_a_large_offset_costs_no_digits():
    reference, window = column(0, 1, 2, 3) + 1e15, column(1, 2, 3, 4) + 1e15
    assert effect_sizes(reference, window).standardised_shift[0] == pytest.approx(1 / np.sqrt(1.25), rel=1e-14)


def test_a_constant_reference_is_measured_in_its_own_magnitude():
    reference = np.full((7, 3), [-4.0, 0.0, 0.1])
    found = effect_sizes(reference, np.full((3, 3), [-3.0, 2.0, 0.1]))
    assert found.reference_unit.tolist() == [4.0, 1.0, 0.1]
    assert found.standardised_shift.tolist() == [0.25, 2.0, 0.0]
    assert found.standardised_wasserstein.tolist() == [0.25, 2.0, 0.0]
    assert found.kolmogorov_smirnov.tolist() == [1.0, 1.0, 0.0]


def test_what_has_no_values_is_nan_and_leaves_the_other_features_alone():
    reference = np.array([[1.0, np.nan, 1.0], [2.0, np.nan, 2.0]])
    window = np.array([[1.0, 5.0, np.nan], [np.nan, 5.0, np.nan]])
    found = effect_sizes(reference, window)
    for name in set(NAMES) - {"missing_rate_change", "reference_unit", "total_variation"}:
        assert np.isnan(getattr(found, name)).tolist() == [False, True, True], name
    assert found.missing_rate_change.tolist() == [0.5, -1.0, 1.0]
    assert np.isnan(found.reference_unit).tolist() == [False, True, False]
    assert found.share_moved.tolist() == [0.5, 1.0, 1.0]


@pytest.mark.parametrize(("reference", "window"), [(0, 3), (3, 0), (0, 0)])
def test_no_rows_make_everything_nan(reference, window):
    found = effect_sizes(np.ones((reference, 2)), np.ones((window, 2)))
    for name in set(NAMES) - {"reference_unit"}:
        assert np.isnan(getattr(found, name)).all(), name
    assert np.isnan(found.share_moved).all()


def test_total_variation_is_for_features_of_few_values():
    generator = np.random.default_rng(1)
    reference, window = generator.integers(0, 3, size=(100, 1)), generator.integers(0, 4, size=(60, 1))
    frequencies = [np.bincount(rows[:, 0], minlength=4) / len(rows) for rows in (reference, window)]
    found = effect_sizes(reference, window)
    assert found.total_variation[0] == pytest.approx(np.abs(frequencies[0] - frequencies[1]).sum() / 2)
    assert found.share_moved[0] == found.total_variation[0] >= found.kolmogorov_smirnov[0]
    assert np.isnan(effect_sizes(generator.normal(size=(100, 1)), generator.normal(size=(60, 1))).total_variation[0])
    assert np.isnan(effect_sizes(column(1, 2), column(1, 2)).total_variation[0])  # too few rows to say


@pytest.mark.parametrize(("values", "times", "few"), [(20, 5, True), (21, 5, False), (20, 4, False), (1, 5, True)])
def test_few_values_are_twenty_at_most_and_each_there_five_times(values, times, few):
    rows = np.repeat(np.arange(values), times).reshape(-1, 1)
    assert np.isnan(effect_sizes(rows[1:], rows[:1]).total_variation[0]) != few


def test_parts_of_the_features_are_measured_as_all_are():
    generator = np.random.default_rng(3)
    reference, window = generator.normal(size=(1500, 130)), generator.normal(size=(1000, 130))
    together = effect_sizes(reference, window)
    for feature in (0, 1, 7, 63, 64, 65, 128, 129):
        alone = effect_sizes(reference[:, [feature]], window[:, [feature]])
        for name in NAMES:
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[feature])


def test_the_numbers_are_read_only_and_the_rows_untouched():
    reference, window = column(3, 1, 2), column(2, 3, 1)
    found = effect_sizes(reference, window)
    assert reference.ravel().tolist() == [3, 1, 2]
    assert not any(getattr(found, name).flags.writeable for name in NAMES)


def test_rows_of_another_array_library_have_the_same_effects():
    generator = np.random.default_rng(9)
    reference, window = generator.normal(size=(30, 2)), generator.normal(size=(20, 2))
    expected, found = effect_sizes(reference, window), effect_sizes(strict.asarray(reference), strict.asarray(window))
    for name in NAMES:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_windows_of_other_features_are_refused():
    with pytest.raises(InvalidRows, match="2 features"):
        effect_sizes(np.ones((3, 3)), np.ones((3, 2)))
