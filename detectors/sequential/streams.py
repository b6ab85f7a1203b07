"""Streams in which nothing happens, made of the reference's own rows.

Production follows a distribution of which the reference is only a sample: against a fixed reference it always looks a
little different, for as long as it runs. Rows drawn evenly from the reference itself would not, and thresholds from
them would alarm too often. So every stream first draws a distribution that could have produced the reference - random
weights for its rows, D. B. Rubin, "The Bayesian bootstrap", Annals of Statistics 9 (1981) - and then its rows by
these weights. For continuous features the ranks of such rows are distributed as those of new rows are.

With `block_rows` above 1, weights and draws are of contiguous blocks instead of single rows, as in the block bootstrap
(H. R. Künsch, Annals of Statistics 17 (1989), 1217), so that a stream resembles itself from row to row as far as the
reference does. The last row is followed by the first.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows
from detectors.errors import TooFewRows

MAXIMUM_BLOCK = 100_000

MINIMUM_BLOCKS = 10
"""Fewer say nothing about how blocks differ."""

_OF_STREAMS = 1  # beside the other streams of random numbers that one seed gives


@dataclass(frozen=True, slots=True)
class Stream:
    """Which rows come one after another."""

    positions: NDArray[np.intp]
    """Of the reference rows."""
    draws: NDArray[np.intp]
    """Same shape: the number of the draw that brought each of them, ascending; one draw brings a whole block."""


@dataclass(frozen=True, slots=True)
class Population:
    """Reference rows that streams are drawn from."""

    count: int
    block_rows: int

    @classmethod
    def of(cls, count: int, block_rows: int) -> Self:
        """Of so many rows; raises `TooFewRows`."""
        if count // block_rows < MINIMUM_BLOCKS:
            made = f"{count} reference rows make {count // block_rows} blocks of {block_rows}"
            raise TooFewRows(f"{made}, and at least {MINIMUM_BLOCKS} are needed to simulate streams")
        return cls(count, block_rows)

    def stream(self, seed: int, number: int, rows: int) -> Stream:
        """The stream of that number; the same for the same seed."""
        generator = np.random.default_rng((seed, _OF_STREAMS, number))
        weights = np.cumsum(generator.standard_exponential(self.count // self.block_rows))
        draws = -(-rows // self.block_rows)
        drawn = np.searchsorted(weights[:-1], generator.random(draws) * weights[-1], side="right")
        # Where the blocks are cut is each stream's own, so that all pieces of the reference come up in one of them.
        phase = int(generator.integers(self.count)) if self.block_rows > 1 else 0
        within = np.arange(rows) % self.block_rows + phase
        numbers = np.arange(rows) // self.block_rows
        return Stream((drawn[numbers] * self.block_rows + within) % self.count, numbers)


def in_order(rows: Rows, block_rows: int) -> Rows:
    """The rows as populations take them: blocks as they came; single rows in an order that depends on nothing else."""
    return rows if block_rows > 1 else rows[np.lexsort(rows.T[::-1])]


def some_blocks(count: int, block_rows: int, limit: int, seed: tuple[int, ...]) -> NDArray[np.intp]:
    """Positions of at most `limit` rows: all, or a random choice of whole blocks in their order."""
    if count <= limit:
        return np.arange(count)
    blocks = min(max(1, limit // block_rows), count // block_rows)
    chosen = np.random.default_rng(seed).choice(count // block_rows, blocks, replace=False, shuffle=False)
    positions: NDArray[np.intp] = (np.sort(chosen)[:, None] * block_rows + np.arange(block_rows)).ravel()
    return positions
