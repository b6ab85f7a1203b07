"""What the frequency detectors say of small tables, of missing values, and of rows that are held out."""

import numpy as np
import pytest

from detectors.calibration import LeavesOut, block_null
from detectors.errors import InvalidParameter, InvalidRows, TooFewRows
from detectors.frequency.cells import MAXIMUM_UNSEEN
from detectors.frequency.chi_square import ChiSquare
from detectors.frequency.fisher import FisherExact
from detectors.frequency.jensen_shannon import JensenShannon
from detectors.frequency.missing_values import MissingValues
from detectors.frequency.out_of_range import OutOfRange
from detectors.frequency.population_stability import PopulationStabilityIndex
from detectors.frequency.unseen_categories import UnseenCategories

EVERY = [
    ChiSquare(),
    FisherExact(event=2.0),
    FisherExact("less", event=2.0),
    JensenShannon(),
    JensenShannon(bins=None),
    MissingValues(),
    OutOfRange(),
    PopulationStabilityIndex(),
    PopulationStabilityIndex(bins=None),
    UnseenCategories(),
]
every_detector = pytest.mark.parametrize("detector", EVERY, ids=repr)
LOCAL = [each for each in EVERY if getattr(each, "bins", None) is None]  # without intervals of the whole reference


def result(detector, reference, window):
    fitted = detector.fit(np.asarray(reference, dtype=np.float64).reshape(len(reference), -1))
    rows = np.asarray(window, dtype=np.float64).reshape(len(window), -1)
    return detector.test(fitted, detector.summarise(fitted, rows))


@every_detector
def test_statistics_of_blocks_are_finite(detector):
    assert isinstance(detector, LeavesOut)
    rows = np.random.default_rng(3).integers(0, 6, size=(400, 3)).astype(float)
    null = block_null(detector, rows, 40)
    assert null.blocks == 10
    assert np.isfinite(null.statistics).all()


@pytest.mark.parametrize("detector", LOCAL, ids=repr)
@pytest.mark.parametrize("held", [slice(0, 7), slice(30, 60), slice(2000, 2300), slice(0, 2300)])
def test_holding_rows_out_is_fitting_without_them(detector, held):
    rows = np.random.default_rng(4).geometric(0.3, size=(2300, 4)).astype(float)
    rows[::9, 1] = np.nan
    rows[held, 2] += 5
    fitted = detector.fit(rows)
    found = detector.measure_held_out(fitted, detector.summarise(fitted, rows[held]), held)
    if held == slice(0, 2300):
        assert np.isnan(found.statistic).all()
        return
    others = detector.fit(np.delete(rows, held, axis=0))
    expected = detector.measure(others, detector.summarise(others, rows[held]))
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-12)
    np.testing.assert_allclose(found.effect, expected.effect, rtol=1e-12)


@every_detector
@pytest.mark.parametrize("missing_from", ["reference", "window", "both"])
def test_a_feature_without_values_is_undecided_and_leaves_the_others_alone(detector, missing_from):
    rows = np.random.default_rng(5).integers(0, 4, size=(60, 2)).astype(float)
    reference, window = rows[:40].copy(), rows[40:].copy()
    complete = result(detector, reference, window)
    if missing_from != "window":
        reference[:, 0] = np.nan
    if missing_from != "reference":
        window[:, 0] = np.nan
    found = result(detector, reference, window)
    assert found.undecided.tolist() == [not isinstance(detector, MissingValues), False]
    assert found.p_value[1] == complete.p_value[1]
    assert found.missing.tolist() == [20 if missing_from != "reference" else 0, 0]


@every_detector
def test_parameters_and_odd_rows_are_refused(detector):
    with pytest.raises(TooFewRows):
        detector.fit(np.empty((0, 2)))
    with pytest.raises(InvalidRows, match="1 features, and the reference has 2"):
        detector.summarise(detector.fit(np.ones((3, 2))), np.ones((3, 1)))


@pytest.mark.parametrize("kind", [JensenShannon, PopulationStabilityIndex])
@pytest.mark.parametrize("bins", [0, 1, 1001, 2.0, True, "10"])
def test_bins_are_a_number_of_them(kind, bins):
    with pytest.raises(InvalidParameter, match="bins"):
        kind(bins=bins)


@pytest.mark.parametrize("event", ["1", True, float("nan"), float("inf"), 10**400])
def test_an_event_is_a_finite_number(event):
    with pytest.raises(InvalidParameter, match="event"):
        FisherExact(event=event)
    with pytest.raises(InvalidParameter, match="alternative"):
        FisherExact(alternative="both")
    assert FisherExact(event=-0.0) == FisherExact(event=0)
    assert str(FisherExact(event=-0.0).event) == "0.0"


@pytest.mark.parametrize("detector", [ChiSquare(), UnseenCategories(), JensenShannon(None)], ids=repr)
def test_a_continuous_column_is_no_category(detector):
    with pytest.raises(InvalidRows, match="column 1 has 10000 distinct values"):
        detector.fit(np.column_stack([np.zeros(10_000), np.random.default_rng(1).normal(size=10_000)]))


def test_chi_square_of_categories_in_one_sample_only():
    found = result(ChiSquare(), [0] * 30, [1] * 20)
    assert found.effect[0] == 1
    assert found.p_value[0] < 1e-9
    many = result(ChiSquare(), [-1] * 3000, np.arange(2 * MAXIMUM_UNSEEN))  # more than are told apart
    assert many.statistic[0] == pytest.approx(3000 + 2 * MAXIMUM_UNSEEN)
    assert many.effect[0] == 1


def test_the_effect_of_chi_square_does_not_depend_on_the_number_of_rows():
    few = result(ChiSquare(), [0, 1] * 20, [0, 1, 1] * 10).effect
    many = result(ChiSquare(), [0, 1] * 2000, [0, 1, 1] * 10).effect
    assert few == pytest.approx(many)


def test_the_event_is_one_where_values_are_zero_and_one():
    less = result(FisherExact("less"), [0] * 20, [0, 1] * 10)
    greater = result(FisherExact("greater"), [0] * 20, [0, 1] * 10)
    assert (less.statistic[0], less.p_value[0]) == (0, pytest.approx(1))
    assert greater.statistic[0] == 0.5
    assert greater.p_value[0] < 0.001
    assert greater.effect[0] == pytest.approx(np.pi / 2)


def test_otherwise_the_larger_of_two_values_is_the_event_and_more_are_refused():
    assert result(FisherExact("greater"), [3, 7] * 10, [7] * 8).statistic[0] == 0.5
    assert result(FisherExact("greater"), [3, 7] * 10, [9] * 8).statistic[0] == 0
    with pytest.raises(InvalidRows, match=r"column 0 has 3 distinct values.*`event`.*chi_square"):
        FisherExact().fit(np.array([[1.0], [2.0], [3.0]]))
    assert result(FisherExact(event=2), [1, 2, 3] * 8, [2] * 5).statistic[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize("kind", [JensenShannon, PopulationStabilityIndex])
def test_equal_shares_are_no_difference_whatever_the_counts(kind):
    found = result(kind(None), [0, 0, 0, 1, 2] * 20, [0, 0, 0, 1, 2] * 3)
    assert found.effect[0] == pytest.approx(0, abs=1e-15)
    assert found.p_value[0] == pytest.approx(1)


@pytest.mark.parametrize("kind", [JensenShannon, PopulationStabilityIndex])
@pytest.mark.parametrize("moved", [np.nextafter(7.0, 8.0), -1e308, 8.0])
def test_a_constant_that_moves_is_seen_by_intervals_too(kind, moved):
    assert result(kind(), [7.0] * 50, [moved] * 20).p_value[0] < 1e-6
    assert result(kind(), [7.0] * 50, [7.0] * 20).p_value[0] == 1


def test_missing_values_where_there_were_none():
    reference = np.zeros((1000, 2))
    window = np.zeros((100, 2))
    window[:5, 0] = np.nan
    found = result(MissingValues(), reference, window)
    assert found.effect.tolist() == [0.05, 0]
    assert found.p_value[0] == pytest.approx(np.prod([(100 - i) / (1100 - i) for i in range(5)]))
    assert found.p_value[1] == 1
    assert found.missing.tolist() == [5, 0]


def test_the_expected_number_of_unseen_categories_is_that_of_singletons():
    reference = np.concatenate([np.repeat(np.arange(10.0), 9), 100 + np.arange(10)])  # one in ten is a singleton
    as_expected = result(UnseenCategories(), reference, [0] * 45 + [200, 201, 202, 203, 204])
    assert as_expected.statistic[0] == as_expected.effect[0] + 0.1 == pytest.approx(0.1)
    assert as_expected.p_value[0] > 0.5
    assert result(UnseenCategories(), reference, np.arange(300, 350)).p_value[0] < 1e-9
    one_new = result(UnseenCategories(), reference, [0] * 25 + [999] * 25)
    assert one_new.p_value[0] < 1e-6  # a category as frequent as this would have been seen
    assert result(UnseenCategories(), reference, [0] * 50).p_value[0] == 1


def test_more_unseen_categories_than_are_told_apart():
    found = result(UnseenCategories(), np.arange(900) % 300, np.arange(1000, 1000 + 3 * MAXIMUM_UNSEEN) // 1.5)
    assert found.statistic[0] == 1
    assert 0 <= found.p_value[0] < 1e-12


def test_out_of_range_counts_both_sides_and_no_ties():
    found = result(OutOfRange(), [1, 2, 3, 4], [0.5, 1, 4, 4.5, 2])
    assert found.statistic[0] == found.effect[0] == pytest.approx(0.4)
    assert result(OutOfRange(), [1, 2], [1, 2]).p_value[0] == 1
    assert result(OutOfRange(), [3], [4, 5, 6]).p_value[0] == pytest.approx(1)  # one value has no range
    assert result(OutOfRange(), [-1e308, 1e308, np.inf], [np.inf, -np.inf]).statistic[0] == 0.5
