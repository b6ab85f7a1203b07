"""Rows, seeds and bandwidths as the detector uses them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.errors import InvalidDocument, TooFewRows
from detectors.kernel import permutation, tiles
from detectors.kernel.aggregated import AggregatedMaximumMeanDiscrepancy
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy


def rows(count, features=3, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=(count, features))


def result_of(detector, reference, window):
    fitted = detector.fit(reference)
    return detector.test(fitted, detector.summarise(fitted, window))


def test_counts_are_those_of_the_rows_used():
    result = result_of(
        MaximumMeanDiscrepancy(maximum_reference_rows=30, maximum_window_rows=20), rows(100), rows(50, seed=1)
    )
    assert (result.reference_count, result.window_count) == (30, 20)
    result = result_of(MaximumMeanDiscrepancy(), rows(100), rows(50, seed=1))
    assert (result.reference_count, result.window_count, result.method, result.seed) == (100, 50, "permutation", 0)


def test_seeds_change_p_values_and_choices_but_not_the_statistic_of_all_rows():
    results = [result_of(MaximumMeanDiscrepancy(seed=seed), rows(60), rows(50, seed=1)) for seed in range(5)]
    assert len({result.statistic[0] for result in results}) == 1
    assert len({result.p_value[0] for result in results}) > 1
    chosen = [
        result_of(MaximumMeanDiscrepancy(seed=s, maximum_reference_rows=20), rows(60), rows(50, seed=1))
        for s in range(5)
    ]
    assert len({result.statistic[0] for result in chosen}) == 5


def test_units_do_not_matter_when_standardised():
    units = np.array([1e-9, 1.0, 1e12])
    plain = result_of(MaximumMeanDiscrepancy(), rows(60), rows(50, seed=1, shift=0.3))
    scaled = result_of(MaximumMeanDiscrepancy(), rows(60) * units, rows(50, seed=1, shift=0.3) * units)
    np.testing.assert_allclose(plain.statistic, scaled.statistic, rtol=1e-9)
    np.testing.assert_allclose(plain.effect, scaled.effect, rtol=1e-9)


def test_a_given_bandwidth_is_in_the_rows_own_unit_without_standardising():
    reference, window = rows(40) * 100, rows(30, seed=1) * 100
    detector = MaximumMeanDiscrepancy(standardise=False, bandwidth=150)
    fitted = detector.fit(reference)
    assert fitted.bandwidth == pytest.approx(150)
    similarity = np.exp(-((reference[:, None] - window) ** 2).sum(axis=2) / (2 * 150**2))
    expected_across = similarity.mean()
    measured = detector.measure(fitted, detector.summarise(fitted, window)).statistic[0]
    own = [np.exp(-((part[:, None] - part) ** 2).sum(axis=2) / (2 * 150**2)) for part in (reference, window)]
    expected = sum((k.sum() - len(k)) / (len(k) * (len(k) - 1)) for k in own) - 2 * expected_across
    assert measured == pytest.approx(expected, abs=1e-13)


def test_the_effect_is_a_distance():
    reference = rows(300)
    for shift, low, high in ((0, 0, 0.15), (1, 0.3, 0.7), (50, 0.8, 2**0.5)):
        result = result_of(MaximumMeanDiscrepancy(), reference, rows(300, seed=1, shift=shift))
        assert low <= result.effect[0] <= high


@pytest.mark.parametrize("count", [0, 1])
def test_a_reference_needs_two_complete_rows(count):
    incomplete = np.array([[1.0, np.nan, 2.0]] * 3)
    with pytest.raises(TooFewRows, match=f"{count} complete reference rows"):
        MaximumMeanDiscrepancy().fit(np.concatenate([incomplete, rows(count)]))


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_complete_window_rows_measure_nothing(count):
    detector = MaximumMeanDiscrepancy()
    fitted = detector.fit(rows(5))
    summary = detector.summarise(fitted, np.concatenate([rows(count), np.full((4, 3), np.nan)]))
    result, measured = detector.test(fitted, summary), detector.measure(fitted, summary)
    for numbers in (result.statistic, result.effect, result.p_value, measured.statistic, measured.effect):
        assert np.isnan(numbers).all()
        assert numbers.shape == (1,)
    assert result.undecided.all()
    assert (result.missing.tolist(), result.window_count) == ([4], 4 + count)


def test_incomplete_rows_are_left_out_and_counted():
    reference, window = rows(60), rows(50, seed=1, shift=0.3)
    expected = result_of(MaximumMeanDiscrepancy(), reference, window)
    holes = np.array([[0.0, np.nan, 1.0], [np.nan, np.nan, np.nan]])
    with_holes = np.insert(reference, 30, holes, axis=0)
    result = result_of(MaximumMeanDiscrepancy(), with_holes, np.insert(window, 7, holes, axis=0))
    for field in ("statistic", "effect", "p_value"):
        assert getattr(result, field).tobytes() == getattr(expected, field).tobytes()
    assert (result.missing.tolist(), result.missing.dtype, result.window_count) == ([2], np.int64, 52)
    assert (expected.missing.tolist(), result.reference_count) == ([0], 60)
    fitted = MaximumMeanDiscrepancy().fit(with_holes)
    assert fitted.count == 62
    assert sorted(fitted.origins) == [*range(30), *range(32, 62)]


def test_a_summary_is_restored_from_its_arrays():
    detector = MaximumMeanDiscrepancy()
    fitted = detector.fit(rows(20))
    summary = detector.summarise(fitted, np.concatenate([rows(9), np.full((1, 3), np.nan)]))
    assert detector.restore(fitted, summary.arrays()) == summary
    with pytest.raises(InvalidDocument):
        detector.restore(fitted, {"rows": rows(3, features=2), "missing": np.array(0)})


@pytest.mark.parametrize("detector", [MaximumMeanDiscrepancy(), AggregatedMaximumMeanDiscrepancy()], ids=repr)
def test_results_do_not_depend_on_tiles_or_on_what_is_kept(detector, monkeypatch):
    reference, window = rows(90), rows(70, seed=1, shift=0.2)
    whole = result_of(detector, reference, window)
    monkeypatch.setattr(tiles, "TILE_ROWS", 7)
    tiled = result_of(detector, reference, window)
    monkeypatch.setattr(permutation, "KEPT_BYTES", 0)
    monkeypatch.setattr(permutation, "LABEL_BYTES", 1000)
    bounded = result_of(detector, reference, window)
    for other in (tiled, bounded):
        np.testing.assert_allclose(other.statistic, whole.statistic, rtol=1e-10)
        np.testing.assert_allclose(other.effect, whole.effect, rtol=1e-10)
        assert other.p_value == whole.p_value


def test_a_reference_keeps_its_kernel_only_where_it_is_small(monkeypatch):
    assert len(MaximumMeanDiscrepancy().fit(rows(90)).known.tiles) == 1
    monkeypatch.setattr(permutation, "KEPT_BYTES", 4 * 90 * 180 - 1)
    assert MaximumMeanDiscrepancy().fit(rows(90)).known.tiles == ()


def test_measuring_permutes_nothing(monkeypatch):
    detector = MaximumMeanDiscrepancy()
    fitted, window = detector.fit(rows(20)), rows(10)
    monkeypatch.setattr(permutation.np.random, "default_rng", None)
    assert np.isfinite(detector.measure(fitted, detector.summarise(fitted, window)).statistic).all()


@given(st.integers(10, 60), st.data())
def test_holding_rows_out_leaves_the_kernel_of_the_others(count, data):
    rows = np.random.default_rng(count).normal(size=(count, 3))
    start = data.draw(st.integers(0, count - 4))
    held = slice(start, data.draw(st.integers(start + 2, count - 2)))
    detector = MaximumMeanDiscrepancy(standardise=False, bandwidth=1.3)
    fitted, others = detector.fit(rows), detector.fit(np.delete(rows, held, axis=0))
    if count - (held.stop - held.start) < 2:
        return
    found = detector.measure_held_out(fitted, detector.summarise(fitted, rows[held]), held)
    expected = detector.measure(others, detector.summarise(others, rows[held]))
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-9, atol=1e-12)


def test_rows_that_the_sample_rests_on_are_held_out_of_it_too():
    rows = np.random.default_rng(5).normal(size=(400, 2))
    detector = MaximumMeanDiscrepancy(standardise=False, bandwidth=1.0, maximum_reference_rows=50)
    fitted = detector.fit(rows)
    held = slice(100, 200)
    left = fitted.origins[(fitted.origins < 100) | (fitted.origins >= 200)]
    assert 0 < len(left) < 50
    same = MaximumMeanDiscrepancy(standardise=False, bandwidth=1.0)
    others = same.fit(rows[left])
    found = detector.measure_held_out(fitted, detector.summarise(fitted, rows[held]), held)
    expected = same.measure(others, same.summarise(others, rows[held]))
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-9, atol=1e-12)


def test_too_few_rows_left_to_compare_with_measure_nothing():
    rows = np.random.default_rng(6).normal(size=(10, 2))
    detector = MaximumMeanDiscrepancy()
    fitted = detector.fit(rows)
    measured = detector.measure_held_out(fitted, detector.summarise(fitted, rows[:9]), slice(0, 9))
    assert np.isnan(measured.statistic).all()
    assert np.isnan(measured.effect).all()


def test_rows_are_held_out_by_where_they_came_among_incomplete_ones():
    rows = np.random.default_rng(7).normal(size=(40, 2))
    with_holes = np.insert(rows, 5, np.nan, axis=0)
    detector = MaximumMeanDiscrepancy(standardise=False, bandwidth=1.0)
    fitted, others = detector.fit(with_holes), detector.fit(np.delete(rows, slice(10, 20), axis=0))
    found = detector.measure_held_out(fitted, detector.summarise(fitted, rows[10:20]), slice(11, 21))
    expected = detector.measure(others, detector.summarise(others, rows[10:20]))
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-9, atol=1e-12)


def test_the_witness_is_the_difference_of_mean_similarities(monkeypatch):
    reference, window = rows(40), rows(30, seed=1, shift=0.5)
    detector = MaximumMeanDiscrepancy(standardise=False, bandwidth=1.3)
    fitted = detector.fit(reference)
    expected = [
        np.exp(-((window[:, None] - part) ** 2).sum(axis=2) / (2 * 1.3**2)).mean(axis=1) for part in (window, reference)
    ]
    found = detector.witness(fitted, window)
    np.testing.assert_allclose(found, expected[0] - expected[1], atol=1e-13)
    monkeypatch.setattr(tiles, "TILE_ROWS", 4)
    np.testing.assert_allclose(detector.witness(fitted, window), found, atol=1e-13)


def test_the_witness_points_at_the_rows_that_differ():
    window = rows(200, seed=1)
    window[:20] = 4 + window[:20] / 4
    window[50] = np.nan
    detector = MaximumMeanDiscrepancy()
    found = detector.witness(detector.fit(rows(400)), window)
    assert found.shape == (200,)
    assert np.flatnonzero(np.isnan(found)).tolist() == [50]
    assert set(np.argsort(np.nan_to_num(found, nan=-1))[-20:]) == set(range(20))
    assert np.isnan(detector.witness(detector.fit(rows(400)), np.full((3, 3), np.nan))).all()


def test_every_row_counts_as_one_of_the_window_for_its_witness():
    window = rows(60, seed=1)
    detector = MaximumMeanDiscrepancy(maximum_window_rows=59, bandwidth=1e-3)  # a row resembles itself only
    found = detector.witness(detector.fit(rows(40)), window)
    np.testing.assert_allclose(np.sort(found)[:59], 1 / 60, rtol=0.02)
    np.testing.assert_allclose(found.max(), 1 / 59, rtol=0.02)


def test_every_window_has_permutations_of_its_own(monkeypatch):
    seeds, default_rng = [], np.random.default_rng
    detector = MaximumMeanDiscrepancy(permutations=2)
    fitted = detector.fit(rows(20))
    window = np.concatenate([rows(9), np.zeros((1, 3))])
    monkeypatch.setattr(permutation.np.random, "default_rng", lambda seed: seeds.append(seed) or default_rng(seed))
    for each in (window, window[::-1], np.where(window == 0, -0.0, window), window + 1):
        detector.test(fitted, detector.summarise(fitted, each))
    assert seeds[0] == seeds[1] == seeds[2] != seeds[3]


def test_every_window_has_a_choice_of_its_own_rows():
    detector = MaximumMeanDiscrepancy(maximum_window_rows=5, standardise=False)
    fitted = detector.fit(rows(20, features=1))
    ranks = set()
    for seed in range(5):
        window = rows(50, features=1, seed=seed)
        chosen = detector._window(fitted, detector.summarise(fitted, window))
        ranks.add(tuple(np.searchsorted(np.sort(window[:, 0]), chosen[:, 0])))
    assert len(ranks) == 5


def test_a_tiny_reference_under_a_given_bandwidth_does_not_hide_huge_window_rows():
    detector = MaximumMeanDiscrepancy(standardise=False, bandwidth=0.5)
    reference = detector.fit(np.full((30, 1), 5e-324))
    far = detector.test(reference, detector.summarise(reference, np.full((20, 1), 1e308)))
    near = detector.test(reference, detector.summarise(reference, np.full((20, 1), 0.25)))
    assert far.effect[0] == pytest.approx(2**0.5)
    assert far.p_value[0] < 0.02
    assert near.effect[0] == pytest.approx((2 - 2 * np.exp(-0.125)) ** 0.5)
