"""What the tests on joint ranks share: missing values, rows held out, samples that are too small."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.errors import TooFewRows
from detectors.rank.anderson_darling import AndersonDarling
from detectors.rank.cramer_von_mises import CramerVonMises
from detectors.rank.mann_whitney import MannWhitney

NAN = np.nan
DETECTORS = [MannWhitney(), CramerVonMises(), AndersonDarling()]

every_detector = pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)


def column(*values):
    return np.array(values, dtype=float).reshape(-1, 1)


def result(detector, reference, window):
    fitted = detector.fit(reference)
    return detector.test(fitted, detector.summarise(fitted, window))


@every_detector
@pytest.mark.parametrize("rounded", [False, True])
def test_missing_values_are_left_out_feature_by_feature(detector, rounded):
    generator = np.random.default_rng(4)
    reference, window = generator.normal(size=(60, 5)), generator.normal(0.3, size=(25, 5))
    if rounded:
        reference, window = reference.round(1), window.round(1)
    reference[::3, 1] = window[::2, 2] = reference[5, 3] = window[7, 3] = window[:, 4] = NAN
    found = result(detector, reference, window)
    assert found.missing.tolist() == [0, 0, 13, 1, 25]
    for feature in range(4):
        alone = [rows[~np.isnan(rows[:, feature]), feature].reshape(-1, 1) for rows in (reference, window)]
        expected = result(detector, *alone)
        for name in ("statistic", "effect", "p_value"):
            assert getattr(found, name)[feature] == pytest.approx(getattr(expected, name)[0], rel=1e-9, abs=1e-12)
    assert found.undecided.tolist() == [False] * 4 + [True]
    assert np.isnan([found.statistic[4], found.effect[4]]).all()


@every_detector
@given(st.integers(2, 40), st.data(), st.booleans(), st.booleans())
def test_holding_rows_out_is_fitting_without_them(detector, count, data, tied, some_missing):
    generator = np.random.default_rng(count)
    rows = generator.integers(0, 9, size=(count, 3)).astype(float) if tied else generator.normal(size=(count, 3))
    if some_missing:
        rows[generator.random(rows.shape) < 0.2] = NAN
    held = slice(first := data.draw(st.integers(0, count - 1)), data.draw(st.integers(first + 1, count)))
    others = np.concatenate([rows[: held.start], rows[held.stop :]])
    if np.isnan(others).all() or np.isnan(rows).all():
        return
    fitted, refitted = detector.fit(rows), detector.fit(others)
    found = detector.measure_held_out(fitted, detector.summarise(fitted, rows[held]), held)
    expected = detector.measure(refitted, detector.summarise(refitted, rows[held]))
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.effect**2, expected.effect**2, rtol=1e-9, atol=1e-12)


@every_detector
def test_too_few_values_say_nothing(detector):
    assert result(detector, column(1, 2, 3), np.empty((0, 1))).undecided.all()
    assert result(detector, np.array([[NAN, 1.0], [NAN, 2.0]]), np.array([[1.0, 1.0], [2.0, 3.0]])).undecided[0]
    with pytest.raises(TooFewRows):
        detector.fit(np.full((3, 1), NAN))


@every_detector
def test_all_values_equal_are_no_difference(detector):
    found = result(detector, column(*[7] * 30), column(*[7] * 20))
    assert found.p_value.tolist() == [1.0]
    assert found.effect[0] == pytest.approx(0, abs=1e-7)


@every_detector
def test_the_effect_does_not_grow_with_the_number_of_rows(detector):
    generator = np.random.default_rng(6)
    few, many = (
        result(detector, generator.normal(size=(n, 1)).round(2), generator.normal(1, size=(m, 1)).round(2))
        for n, m in ((2000, 1000), (20_000, 5000))
    )
    assert few.effect[0] == pytest.approx(many.effect[0], rel=0.1)
    assert many.statistic[0] > 2 * few.statistic[0]


@every_detector
def test_the_direction_of_a_difference_does_not_matter(detector):
    generator = np.random.default_rng(7)
    reference, window = generator.normal(size=(50, 2)), generator.normal(1, size=(40, 2))
    up, down = result(detector, reference, window), result(detector, -reference, -window)
    np.testing.assert_allclose(up.statistic, down.statistic, rtol=1e-9)
    np.testing.assert_allclose(up.p_value, down.p_value, rtol=1e-9)


@every_detector
def test_numbers_that_only_just_fit(detector):
    largest = np.finfo(float).max
    rows = column(-np.inf, -largest, -1e308, -5e-324, -0.0, 0.0, 5e-324, 1e308, largest, np.inf)
    found = result(detector, rows, rows[::2])
    assert not found.undecided.any()
    assert found.p_value[0] > 0.5
