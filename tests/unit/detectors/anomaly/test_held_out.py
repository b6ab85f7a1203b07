"""Cuts from held-out scores, and how surprising it is that so many are beyond them."""

import numpy as np
import pytest
from scipy.stats import betabinom

from detectors.anomaly.held_out import at_least, cut_above, held_out_scores, rank_of
from detectors.anomaly.rank_mahalanobis import RankMahalanobis
from detectors.errors import TooFewRows


@pytest.mark.parametrize(("flagged", "rows", "rank", "count"), [(1, 5, 1, 3), (7, 500, 30, 10_000), (60, 60, 2, 9)])
def test_the_number_beyond_a_cut_is_beta_binomial(flagged, rows, rank, count):
    expected = betabinom.sf(flagged - 1, rows, rank, count + 1 - rank)
    assert at_least(flagged, rows, rank, count) == pytest.approx(expected, rel=1e-7)


def test_none_beyond_is_no_surprise():
    assert at_least(0, 100, 3, 1000) == 1


def test_a_cut_lets_through_what_it_says():
    scores = np.random.default_rng(1).permutation(999).astype(float)
    rank = rank_of(0.003, 999)
    assert rank == 3
    assert (scores > cut_above(scores, rank)).sum() == rank - 1
    assert rank_of(0.003, 10) == 1


def test_no_row_is_scored_by_a_fit_that_knows_it():
    """A reference whose parts differ: each is strange to a fit on the others."""
    generator = np.random.default_rng(2)
    rows = generator.normal(size=(500, 3)) + np.repeat(np.arange(5), 100)[:, np.newaxis] * 20
    assert held_out_scores(RankMahalanobis(), rows)[400:].min() > RankMahalanobis().fit(rows).score(rows)[400:].min()


def test_too_few_rows_are_refused():
    with pytest.raises(TooFewRows, match="2 reference rows"):
        held_out_scores(RankMahalanobis(), np.zeros((2, 3)))
