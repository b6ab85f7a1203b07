import numpy as np
from scipy.stats import norm

from detectors.classifier.coordinates import normal_scores


def test_values_become_normal_quantiles_of_their_ranks():
    found = normal_scores(np.array([[3.0, -1.0], [1e308, 5.0], [-np.inf, 5.0]]))
    np.testing.assert_allclose(found[:, 0], norm.ppf([0.5, 0.75, 0.25]), atol=1e-15)
    np.testing.assert_allclose(found[:, 1], norm.ppf([0.25, 2.5 / 4, 2.5 / 4]))


def test_a_constant_feature_lies_in_the_middle():
    assert (normal_scores(np.full((7, 2), 1e308)) == 0).all()


def test_units_do_not_matter():
    rows = np.random.default_rng(1).normal(size=(50, 3))
    assert np.array_equal(normal_scores(rows), normal_scores(np.exp(rows) * 1e-300))


def test_no_rows_have_no_scores():
    assert normal_scores(np.empty((0, 3))).shape == (0, 3)
