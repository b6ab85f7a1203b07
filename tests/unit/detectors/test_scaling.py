"""One deviation is what most values say it is, and no two places far out are one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detectors.scaling import LINEAR, MOST_DOUBLINGS, Scale, bent

ANYTHING = st.floats(allow_nan=False, allow_infinity=False)


def deviation_of(values):
    scale = Scale.of(np.reshape(values, (-1, 1)))
    return float(np.ldexp(scale.deviation[0], scale.exponents[0]))


def normal(count=1000, seed=0):
    return np.random.default_rng(seed).normal(3, 2, size=count)


def test_values_without_outliers_have_their_plain_deviation():
    assert deviation_of(normal()) == pytest.approx(normal().std(), rel=1e-12)
    balanced = np.arange(100) % 2
    assert deviation_of(balanced) == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("outlier", [1e9, 1e308, 1.7976931348623157e308, -999.0])
@pytest.mark.parametrize("share", [0.001, 0.02, 0.2])
def test_outliers_do_not_make_the_others_look_alike(outlier, share):
    values = normal()
    values[: int(share * 1000)] = outlier
    assert 1.8 < deviation_of(values) < 2.2 * np.sqrt(1 + 25 * share) * (1 + share)


@pytest.mark.parametrize("outlier", [1e9, 1e308])
@pytest.mark.parametrize("share", [0.005, 0.05, 0.3, 0.49, 0.51])
def test_the_unit_of_a_feature_that_is_mostly_zero_is_that_of_its_other_values(share, outlier):
    generator = np.random.default_rng(1)
    values = np.where(np.arange(2000) < share * 2000, generator.lognormal(size=2000), 0.0)
    usual = deviation_of(values)
    assert 0.3 * np.sqrt(share) < usual < 3 * np.sqrt(share)
    values[-1] = outlier
    assert usual / 1.3 < deviation_of(values) < usual * (1.3 if share > 0.01 else 3)


def test_rare_ones_keep_their_plain_deviation():
    values = (np.arange(1000) < 5).astype(float)
    assert deviation_of(values) == pytest.approx(values.std(), rel=1e-12)


def test_an_outlier_of_a_constant_feature_leaves_it_its_own_magnitude():
    values = np.full(1000, 7.0)
    constant = deviation_of(values)
    values[3] = 1e300
    assert deviation_of(values) == constant == 8
    values[:] = 0.0
    values[3] = 1e300
    assert deviation_of(values) == 1


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 130), st.just(2)), elements=ANYTHING))
def test_any_rows_have_a_scale(rows):
    scale = Scale.of(rows)
    assert np.isfinite(scale.centre).all()
    assert (np.isfinite(scale.deviation) & (scale.deviation > 0)).all()


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=30), st.floats(1e-3, 1e3))
def test_bending_is_monotone_bounded_and_the_same_one_by_one(places, linear):
    ordered = np.sort(places)
    found = bent(ordered.copy(), linear)
    assert (np.diff(found) >= 0).all()
    near = np.abs(ordered) <= 2 * linear
    assert np.array_equal(found[near], ordered[near])
    assert (np.abs(found) <= linear * MOST_DOUBLINGS).all()
    assert np.array_equal(
        np.concatenate([bent(place.copy(), linear) for place in np.split(ordered, len(ordered))]), found
    )
    assert np.array_equal(bent(-ordered, linear), -found)


def test_each_doubling_adds_as_much():
    doublings = LINEAR * 2.0 ** np.arange(1, 100)
    np.testing.assert_array_equal(np.diff(bent(doublings, LINEAR)), LINEAR)
    assert bent(np.array([np.inf, -np.inf]), 1.0).tolist() == pytest.approx([1025, -1025], abs=1e-9)
