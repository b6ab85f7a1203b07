"""What brackets leave out cannot be the largest: with and without them the distance is the same number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detectors.rank import counts
from detectors.rank import reference as references
from detectors.rank.extremes import Extremes
from detectors.rank.kolmogorov_smirnov import ALTERNATIVES, KolmogorovSmirnov

finite = st.floats(allow_nan=False, allow_infinity=False)
KINDS = {
    "any": finite,
    "narrow": st.floats(-3, 3),
    "whole": st.integers(-5, 5).map(float),
    "outside": st.sampled_from([-1.7e308, -1.0, -0.0, 5e-324, 1.0, 1.7e308]),
}


def assert_same_extremes(reference, window, alternative):
    fitted = references.fit(KolmogorovSmirnov(), reference)
    unsearched = counts.summarise(fitted, window)
    assert unsearched.unsearched
    searched = counts.restored(fitted, counts.summarise(fitted, window).arrays())
    assert searched.unsearched is None
    found, expected = (Extremes.of(fitted, each, alternative) for each in (unsearched, searched))
    assert unsearched.unsearched, "measuring does not look for the cells"
    assert found.reached.tolist() == expected.reached.tolist()
    np.testing.assert_array_equal(found.distance, expected.distance)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@given(st.data(), st.integers(1, 60), st.integers(1, 30))
def test_any_finite_rows(alternative, data, reference_rows, window_rows):
    columns = [data.draw(st.sampled_from(sorted(KINDS))) for _ in range(2)]
    reference, window = (
        np.stack([data.draw(hnp.arrays(np.float64, rows, elements=KINDS[kind])) for kind in columns], axis=1)
        for rows in (reference_rows, window_rows)
    )
    assert_same_extremes(reference, window, alternative)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("rows", [40, 3000, 40_000])
def test_features_of_every_character_side_by_side(rows, alternative):
    generator = np.random.default_rng(rows)
    draws = [generator.normal, generator.standard_cauchy, generator.exponential, lambda size: np.full(size, 2.5)]
    reference = np.stack([draw(size=rows) for draw in draws for _ in range(2)], axis=1)
    window = np.stack([draw(size=700) for draw in draws for _ in range(2)], axis=1)
    reference[:, 4:6], window[:, 4:6] = reference[:, 4:6].round(2), window[:, 4:6].round(2)
    window[:300, 0] = reference[:300, 0] if rows > 300 else 0.1
    for scale in (1.0, 1.1, 1e300):
        assert_same_extremes(reference, window * scale, alternative)


def test_some_values_missing_in_the_reference():
    generator = np.random.default_rng(2)
    reference = generator.normal(size=(2000, 3))
    reference[::7, 0] = reference[:1500, 1] = np.nan
    assert_same_extremes(reference, generator.normal(0.1, size=(400, 3)), "two-sided")


def test_counts_whose_product_is_no_longer_narrow():
    reference = np.arange(70_000.0).reshape(-1, 1)
    assert_same_extremes(reference, np.arange(0.5, 70_000, 2).reshape(-1, 1), "two-sided")


def test_more_rows_than_are_looked_at_at_once():
    generator = np.random.default_rng(3)
    assert_same_extremes(generator.normal(size=(500, 9)), generator.normal(size=(70_000, 9)), "two-sided")


def test_whatever_is_missing_or_infinite_in_a_window_is_searched_at_once():
    fitted = references.fit(KolmogorovSmirnov(), np.arange(50.0).reshape(-1, 1))
    for value in (np.nan, np.inf, -np.inf):
        summary = counts.summarise(fitted, np.array([[1.0], [value]]))
        assert (summary.unsearched is None) == np.isnan(value)


def test_comparing_merging_and_storing_look_for_the_cells():
    fitted = references.fit(KolmogorovSmirnov(), np.arange(50.0).reshape(-1, 1))
    rows = np.array([[1.0], [7.5]])
    one, other = counts.summarise(fitted, rows), counts.summarise(fitted, rows[::-1])
    assert one.unsearched is not None
    assert one == other
    assert one.unsearched is None
    assert (one + other).cells.tolist() == [[3, 3, 16, 16]]
    assert counts.summarise(fitted, rows).arrays()["cells"].tolist() == [[3, 16]]
