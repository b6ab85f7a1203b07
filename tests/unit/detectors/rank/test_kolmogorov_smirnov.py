"""What the detector says of small samples, and how rows of the reference are held out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.errors import TooFewRows
from detectors.rank.kolmogorov import one_sided, survival
from detectors.rank.kolmogorov_smirnov import ALTERNATIVES, KolmogorovSmirnov


def column(*values):
    return np.array(values, dtype=float).reshape(-1, 1)


def test_the_alternatives_name_the_position_of_the_reference():
    reference, window = column(1, 2, 3, 4), column(3, 4, 5, 6)  # the window's values are larger: its function is lower
    distances = {}
    for alternative in ALTERNATIVES:
        detector = KolmogorovSmirnov(alternative)
        fitted = detector.fit(reference)
        distances[alternative] = detector.measure(fitted, detector.summarise(fitted, window)).statistic[0]
    assert distances == {"two-sided": 0.5, "greater": 0.5, "less": 0.0}


def test_methods_are_named():
    fitted = KolmogorovSmirnov().fit(column(1, 2, 3))
    result = KolmogorovSmirnov().test(fitted, KolmogorovSmirnov().summarise(fitted, column(1, 2)))
    assert (result.method, result.seed) == ("kstwo", None)
    less = KolmogorovSmirnov("less")
    fitted = less.fit(column(1, 2, 3))
    assert less.test(fitted, less.summarise(fitted, column(1, 2))).method == "hodges"


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_one_row_against_one_says_nothing(alternative):
    detector = KolmogorovSmirnov(alternative)
    fitted = detector.fit(column(1))
    with pytest.raises(TooFewRows, match="1 rows against 1"):
        detector.test(fitted, detector.summarise(fitted, column(2)))
    assert np.isfinite(detector.test(fitted, detector.summarise(fitted, column(2, 3))).p_value).all()


@given(st.integers(2, 40), st.data(), st.sampled_from(ALTERNATIVES))
def test_holding_rows_out_is_fitting_without_them(count, data, alternative):
    rows = np.random.default_rng(count).integers(0, 12, size=(count, 3)).astype(float)
    held = data.draw(st.integers(1, count - 1))
    if count == 2:
        return
    detector = KolmogorovSmirnov(alternative)
    fitted, others = detector.fit(rows), detector.fit(rows[held:])
    found = detector.measure_held_out(fitted, detector.summarise(fitted, rows[:held]), slice(0, held))
    expected = detector.measure(others, detector.summarise(others, rows[:held]))
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-12, atol=1e-14)


def test_all_rows_cannot_be_held_out():
    fitted = KolmogorovSmirnov().fit(column(1, 2))
    with pytest.raises(TooFewRows, match="held out"):
        KolmogorovSmirnov().measure_held_out(fitted, KolmogorovSmirnov().summarise(fitted, column(1, 2)), slice(0, 2))


def test_the_law_decreases_from_one_to_zero():
    for count in (1, 7, 140, 141, 5000):
        probabilities = survival(count, np.linspace(0, 1, 300))
        assert probabilities[0] == 1
        assert probabilities[-1] == 0
        assert (np.diff(probabilities) <= 1e-13).all()


def test_the_one_sided_law_in_chunks_is_the_same():
    statistics = np.linspace(0.02, 0.9, 60)
    one_by_one = np.concatenate([one_sided(20_000, d[np.newaxis]) for d in statistics])
    np.testing.assert_allclose(one_sided(20_000, statistics), one_by_one, rtol=1e-12, atol=1e-300)
