"""Labels of single rows, and the numbers by which equal ones are found."""

import numpy as np
import pytest

from benchmarks.poisoned_rows import Source, stuck
from detectors.anomaly.labels import DUPLICATE, INVALID, OK, OUTLIER, TOO_TYPICAL, Labeller
from detectors.anomaly.row_hash import RowHash, repeated
from detectors.errors import TooFewRows

SCORE = "rank_mahalanobis"


def test_ordinary_rows_are_flagged_as_rarely_as_asked():
    source = Source(1)
    labeller = Labeller.fit(source.rows(10_000), SCORE, 0.002, 0.001)
    labels = labeller.label(source.rows(50_000)).labels
    assert (labels == OUTLIER).mean() == pytest.approx(0.002, abs=0.001)
    assert (labels == TOO_TYPICAL).mean() == pytest.approx(0.001, abs=0.0007)
    assert set(labels.tolist()) == {OK, OUTLIER, TOO_TYPICAL}


def test_each_kind_of_row_has_its_label():
    source = Source(2)
    reference = source.rows(5000)
    labeller = Labeller.fit(reference, SCORE, 0.001, 0.001)
    ordinary = source.rows(200)
    ordinary = ordinary[labeller.label(ordinary).labels == OK][:3]
    rows = np.concatenate(
        [ordinary, 1e9 * ordinary[:1], stuck(source, reference)[:1], reference[7:8], np.full((1, 20), np.nan)]
    )
    found = labeller.label(rows)
    assert found.labels.tolist() == [OK, OK, OK, OUTLIER, TOO_TYPICAL, DUPLICATE, INVALID]
    assert np.isnan(found.scores).tolist() == [False] * 6 + [True]


def test_a_row_has_the_same_label_in_any_company():
    source = Source(3)
    labeller = Labeller.fit(source.rows(2000), SCORE, 0.01, 0.01)
    rows = source.rows(5000)
    one_by_one = np.concatenate([labeller.label(rows[place : place + 1]).scores for place in range(100)])
    assert labeller.label(rows).scores[:100].tolist() == one_by_one.tolist()


def test_a_row_with_a_hole_may_be_strange_but_not_too_typical():
    source = Source(4)
    reference = source.rows(2000)
    labeller = Labeller.fit(reference, SCORE, 0.001, 0.001)
    rows = np.stack([stuck(source, reference)[0], source.rows(1)[0]])
    rows[:, :5] = np.nan
    rows[1, 7] = 1e9
    assert labeller.label(rows).labels.tolist() == [OK, OUTLIER]


def test_where_the_reference_repeats_itself_equal_rows_are_no_duplicates():
    generator = np.random.default_rng(5)
    reference = generator.integers(0, 3, (2000, 2)).astype(float)
    labeller = Labeller.fit(reference, SCORE, 0.001, 0.001)
    assert not (labeller.label(reference).labels == DUPLICATE).any()
    assert not labeller.label(np.array([[1.0, np.nan]])).may_repeat.any()


def test_rows_with_a_hole_are_no_duplicates_where_those_of_the_reference_repeat_one_another():
    """Of most of them one value of three is left, and it is one of two; complete rows never repeat."""
    generator = np.random.default_rng(9)
    reference = generator.normal(size=(2000, 3))
    reference[:, 2] = generator.integers(0, 2, 2000)
    complete = reference[1000:]
    assert Labeller.fit(complete, SCORE, 0.001, 0.001).finds_incomplete_duplicates
    reference[:100, :2] = np.nan
    labeller = Labeller.fit(reference, SCORE, 0.001, 0.001)
    found = labeller.label(np.array([[0.1, 0.2, 1.0], [np.nan, np.nan, 1.0], [np.nan, np.nan, np.nan]]))
    assert found.may_repeat.tolist() == [True, False, False]
    assert found.part(1, 3).may_repeat.tolist() == [False, False]


def test_a_reference_that_is_too_short_says_how_many_rows_the_rates_need():
    with pytest.raises(TooFewRows, match=r"typical_rate asks for one row in 2000, and 1500 reference rows .* 1999 are"):
        Labeller.fit(np.random.default_rng(6).normal(size=(1500, 2)), SCORE, 0.001, 0.0005)


def test_equal_rows_have_one_number_and_others_do_not():
    rows = np.random.default_rng(7).normal(size=(20_000, 3))
    rows[5], rows[6], rows[7] = [0.0, 1, np.nan], [-0.0, 1, np.nan], [1, 0.0, np.nan]
    hashes = RowHash.keyed_by(rows)(rows)
    assert hashes[5] == hashes[6] != hashes[7]
    assert repeated(hashes) == 1


def test_rows_that_differ_in_signs_or_order_alone_are_told_apart():
    """Their bits differ where a sum of products would lose them."""
    signs = np.array([[s * a, t * b] for s in (1, -1) for t in (1, -1) for a, b in ((1.0, 2.0), (2.0, 1.0))])
    assert repeated(RowHash.keyed_by(signs)(signs)) == 0


def test_the_numbers_depend_on_a_key():
    rows = np.random.default_rng(8).normal(size=(100, 3))
    one, other = RowHash.keyed_by(rows), RowHash.keyed_by(rows + 1)
    assert not (one(rows) == other(rows)).any()
    assert (one(rows) == RowHash.keyed_by(rows.copy())(rows)).all()
