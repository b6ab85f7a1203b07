import numpy as np
import pytest

from detectors.errors import TooFewRows
from detectors.sequential.streams import Population, in_order, some_blocks


def test_a_stream_depends_on_seed_and_number_alone_and_shorter_ones_are_not_other_populations():
    population = Population.of(50, 1)
    stream = population.stream(3, 5, 200)
    assert np.array_equal(stream.positions, population.stream(3, 5, 200).positions)
    assert not np.array_equal(stream.positions, population.stream(3, 6, 200).positions)
    assert not np.array_equal(stream.positions, population.stream(4, 5, 200).positions)
    assert np.array_equal(stream.positions[:80], population.stream(3, 5, 80).positions)


def test_blocks_stay_together():
    stream = Population.of(57, 5).stream(0, 0, 103)
    assert stream.positions.shape == stream.draws.shape == (103,)
    whole = stream.positions[:100].reshape(20, 5)
    assert np.array_equal((whole - whole[:, :1]) % 57, np.tile(np.arange(5), (20, 1)))
    starts = [set(Population.of(57, 5).stream(0, number, 100).positions[::5] % 57) for number in range(50)]
    assert len(set().union(*starts)) == 57  # all pieces come up in one stream or another
    assert np.array_equal(stream.draws, np.arange(103) // 5)


def test_streams_differ_in_what_they_draw_from_as_references_would():
    # How often the lowest tenth of the reference comes has the distribution of what such a tenth holds: Beta(10, 90).
    population = Population.of(100, 1)
    shares = [(population.stream(1, number, 4000).positions < 10).mean() for number in range(400)]
    assert np.mean(shares) == pytest.approx(0.1, abs=0.005)
    assert np.std(shares) == pytest.approx(np.sqrt(0.1 * 0.9 / 101), rel=0.1)


def test_too_few_blocks_are_refused():
    Population.of(10, 1)
    for count, block_rows in ((9, 1), (99, 10), (0, 1)):
        with pytest.raises(TooFewRows):
            Population.of(count, block_rows)


def test_single_rows_have_an_order_of_their_own_and_blocks_the_one_they_came_in():
    rows = np.array([[2.0, 1.0], [1.0, np.nan], [np.nan, 0.0], [1.0, 3.0]])
    expected = np.array([[1.0, 3.0], [1.0, np.nan], [2.0, 1.0], [np.nan, 0.0]])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        np.testing.assert_array_equal(in_order(rows[order], 1), expected)
    assert in_order(rows, 2) is rows


def test_of_too_many_rows_whole_blocks_are_chosen():
    assert np.array_equal(some_blocks(7, 3, 10, (0, 0)), np.arange(7))
    chosen = some_blocks(100, 7, 30, (0, 0))
    assert len(chosen) == 28
    assert (np.diff(chosen.reshape(4, 7), axis=1) == 1).all()
    assert (np.diff(chosen) > 0).all()
    assert len(some_blocks(100, 50, 30, (0, 0))) == 50  # never less than one
