"""The rank-Gaussian Mahalanobis score: what it sees, and that no reference defeats it."""

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from benchmarks.poisoned_rows import Source, broken, far, stuck
from detectors.anomaly.normal_scores import NormalScores
from detectors.anomaly.rank_mahalanobis import RankMahalanobis
from detectors.anomaly.scores import SCORES, checked_name, score_of
from detectors.errors import InvalidParameter


def test_normal_scores_are_those_of_mid_ranks():
    values = np.random.default_rng(1).integers(0, 40, 600).astype(float)
    other = np.random.default_rng(2).normal(size=600)
    rows = np.column_stack([values, other])
    expected = norm.ppf(np.apply_along_axis(rankdata, 0, rows) / 601)
    np.testing.assert_allclose(NormalScores.of(rows)(rows), expected, atol=1e-12)


def test_of_many_values_a_table_keeps_enough_for_any_of_them():
    values = np.random.default_rng(3).lognormal(sigma=3, size=(20_000, 1))
    expected = norm.ppf(rankdata(values[:, 0]) / 20_001)
    np.testing.assert_allclose(NormalScores.of(values)(values)[:, 0], expected, atol=0.02)


def test_values_beyond_the_reference_are_stranger_than_its_extremes_and_missing_ones_stay_missing():
    normal = NormalScores.of(np.arange(9.0)[:, np.newaxis])
    below, least, most, above, missing = normal(np.array([[-1.0], [0.0], [8.0], [8.1], [np.nan]]))[:, 0]
    assert below < least < 0 < most < above
    assert np.isnan(missing)


def auc(strange, ordinary):
    """Probability that a strange row has the larger score."""
    ranks = rankdata(np.concatenate([strange, ordinary]))[: len(strange)]
    return (ranks.sum() - len(strange) * (len(strange) + 1) / 2) / (len(strange) * len(ordinary))


def test_it_sees_values_far_out_broken_correlations_and_what_is_too_typical():
    source = Source(1)
    reference, ordinary = source.rows(5000), source.rows(2000)
    fitted = RankMahalanobis().fit(reference)
    scores = fitted.score(ordinary)
    assert auc(fitted.score(far(source, ordinary)), scores) > 0.95
    assert auc(fitted.score(broken(source, ordinary)), scores) > 0.98
    assert auc(-fitted.score(stuck(source, ordinary)), -scores) == 1


def test_a_value_far_beyond_all_others_is_strange_where_ranks_alone_would_not_say_so():
    generator = np.random.default_rng(4)
    fitted = RankMahalanobis().fit(generator.normal(size=(5000, 20)))
    row = generator.normal(size=(1, 20))
    row[0, 3] = 60.0
    assert fitted.score(row) > 5


def test_a_rare_category_is_not_ever_so_strange():
    generator = np.random.default_rng(5)
    reference = np.column_stack([(generator.random(5000) < 0.02), generator.normal(size=(5000, 3))]).astype(float)
    scores = RankMahalanobis().fit(reference).score(reference)
    assert (scores[reference[:, 0] == 1] > np.quantile(scores, 0.99)).mean() < 0.2


@pytest.mark.parametrize(
    "reference",
    [
        np.full((50, 3), 7.0),
        np.repeat(np.random.default_rng(6).normal(size=(50, 1)), 3, axis=1),
        np.column_stack([np.random.default_rng(6).integers(0, 2, 50), np.full(50, 1.0), np.arange(50.0)]),
        np.random.default_rng(6).normal(size=(2, 3)),
        np.random.default_rng(6).normal(size=(10, 300)),
        np.random.default_rng(6).choice([-1.7e308, 5e-324, 0.0, 1.7e308], size=(50, 3)),
    ],
    ids=["constant", "one column three times", "binary, constant, linear", "two rows", "few rows", "extremes"],
)
def test_no_reference_defeats_it(reference):
    fitted = RankMahalanobis().fit(reference)
    strange = np.full((1, reference.shape[1]), 1e6)
    scores = fitted.score(np.concatenate([reference, strange, np.full(strange.shape, np.nan)]))
    assert np.isfinite(scores).all()
    assert scores[-2] >= scores[:-2].max() or abs(reference).max() > 1e6


def test_what_is_missing_counts_as_the_middle():
    reference = np.random.default_rng(7).normal(size=(1000, 4))
    fitted = RankMahalanobis().fit(reference)
    whole, part = np.array([[0.0, 0.0, 0.0, 4.5]]), np.array([[np.nan, np.nan, 0.0, 4.5]])
    assert fitted.score(part) == pytest.approx(fitted.score(whole), rel=0.1)
    assert fitted.score(np.full((1, 4), np.nan)) == 0


def test_scores_go_by_name():
    assert [type(score_of(each.name)) for each in SCORES] == list(SCORES)
    with pytest.raises(InvalidParameter, match="rank_mahalanobis"):
        checked_name("score", "isolation_forest")
