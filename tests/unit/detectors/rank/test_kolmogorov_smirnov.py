"""What the detector says of small samples, of missing values, and how rows of the reference are held out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.errors import InvalidParameter, TooFewRows
from detectors.rank.kolmogorov_smirnov import ALTERNATIVES, KolmogorovSmirnov

NAN = np.nan


def column(*values):
    return np.array(values, dtype=float).reshape(-1, 1)


def result(detector, reference, window):
    fitted = detector.fit(reference)
    return detector.test(fitted, detector.summarise(fitted, window))


def test_the_alternatives_name_the_position_of_the_reference():
    reference, window = column(1, 2, 3, 4), column(3, 4, 5, 6)  # the window's values are larger: its function is lower
    distances = {
        alternative: result(KolmogorovSmirnov(alternative), reference, window).statistic[0]
        for alternative in ALTERNATIVES
    }
    assert distances == {"two-sided": 0.5, "greater": 0.5, "less": 0.0}


def test_methods_are_named():
    asymptotic = result(KolmogorovSmirnov(), column(1, 2, 3), column(1, 2))
    assert (asymptotic.method, asymptotic.seed) == ("kstwo", None)
    assert result(KolmogorovSmirnov("less"), column(1, 2, 3), column(1, 2)).method == "hodges"
    assert result(KolmogorovSmirnov(method="exact"), column(1, 2, 3), column(1, 2)).method == "exact"


def test_another_method_is_refused():
    with pytest.raises(InvalidParameter, match="method is one of asymp, exact"):
        KolmogorovSmirnov(method="auto")


def test_too_many_pairs_for_the_exact_law_fall_back_visibly():
    rows = np.arange(4000.0).reshape(-1, 1)
    exact, asymptotic = KolmogorovSmirnov(method="exact"), KolmogorovSmirnov()
    found = result(exact, rows, rows[:2000] + 100.5)
    assert found.method == "kstwo"
    assert found.p_value == result(asymptotic, rows, rows[:2000] + 100.5).p_value


@pytest.mark.parametrize("method", ["asymp", "exact"])
@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_one_value_against_one_and_none_at_all_say_nothing(alternative, method):
    detector = KolmogorovSmirnov(alternative, method)
    assert result(detector, column(1), column(2)).undecided.all()
    assert not result(detector, column(1), column(2, 3)).undecided.any()
    assert result(detector, column(1, 2, 3), np.empty((0, 1))).undecided.all()
    with pytest.raises(TooFewRows):
        detector.fit(np.empty((0, 1)))


@pytest.mark.parametrize("method", ["asymp", "exact"])
@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_missing_values_are_left_out_feature_by_feature(alternative, method):
    generator = np.random.default_rng(4)
    reference, window = generator.normal(size=(60, 5)).round(1), generator.normal(0.3, size=(25, 5)).round(1)
    reference[::3, 1] = window[::2, 2] = reference[5, 3] = window[7, 3] = window[:, 4] = NAN
    detector = KolmogorovSmirnov(alternative, method)
    found = result(detector, reference, window)
    assert found.missing.tolist() == [0, 0, 13, 1, 25]
    assert (found.reference_count, found.window_count) == (60, 25)
    for feature in range(4):
        alone = [rows[~np.isnan(rows[:, feature]), feature].reshape(-1, 1) for rows in (reference, window)]
        expected = result(detector, *alone)
        assert found.statistic[feature] == expected.statistic[0]
        assert found.p_value[feature] == expected.p_value[0]
    assert found.undecided.tolist() == [False, False, False, False, True]
    assert np.isnan([found.statistic[4], found.effect[4]]).all()


def test_infinities_lie_beyond_everything():
    found = result(KolmogorovSmirnov(), column(1, 2, 3, 4), column(-np.inf, np.inf, np.inf, 1))
    assert found.statistic[0] == 0.5
    assert found.missing[0] == 0


@given(st.integers(2, 40), st.data(), st.sampled_from(ALTERNATIVES), st.booleans())
def test_holding_rows_out_is_fitting_without_them(count, data, alternative, some_missing):
    rows = np.random.default_rng(count).integers(0, 12, size=(count, 3)).astype(float)
    if some_missing:
        rows[rows == 3] = NAN
    held = data.draw(st.integers(1, count - 1))
    detector = KolmogorovSmirnov(alternative)
    if np.isnan(rows[held:]).all():
        return
    fitted, others = detector.fit(rows), detector.fit(rows[held:])
    found = detector.measure_held_out(fitted, detector.summarise(fitted, rows[:held]), slice(0, held))
    expected = detector.measure(others, detector.summarise(others, rows[:held]))
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-12, atol=1e-14)


def test_with_all_rows_held_out_nothing_is_left_to_measure():
    fitted = KolmogorovSmirnov().fit(column(1, 2))
    summary = KolmogorovSmirnov().summarise(fitted, column(1, 2))
    assert np.isnan(KolmogorovSmirnov().measure_held_out(fitted, summary, slice(0, 2)).statistic).all()


def test_counts_whose_product_is_no_longer_narrow():
    reference, window = np.arange(70_000.0).reshape(-1, 1), np.arange(0.5, 70_000, 2).reshape(-1, 1)
    assert result(KolmogorovSmirnov(), reference, window).statistic[0] == pytest.approx(1 / 70_000)
    assert result(KolmogorovSmirnov(), reference, window + 35_000).statistic[0] == pytest.approx(0.5, abs=1e-4)
