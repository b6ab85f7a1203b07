"""A bounded sample of a window's rows that depends on nothing but which rows these are.

Every row has a rank: a keyed hash of its batch's identifier and of its place in the batch. The sample are the rows of
the lowest ranks (bottom-k sampling, Cohen and Kaplan 2007). So each row is as likely as any other to be in it, replicas
draw the same one, neither the order nor the repetition of batches matters, and the sample of two samples together is
the sample of all their rows.
"""

from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ranks: TypeAlias = NDArray[np.uint64]
Piece: TypeAlias = tuple[Ranks, NDArray[np.int64], NDArray[np.float64]]
"""Ranks, event times, and rows."""
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def ranks(key: bytes, identifier: str, places: NDArray[np.intp]) -> Ranks:
    """Of the rows at these places of a batch: SplitMix64 (Steele, Lea and Flood 2014), seeded by the batch."""
    seed = blake2b(identifier.encode("utf-8", "surrogatepass"), key=key[:64], digest_size=8).digest()
    mixed = (places.astype(np.uint64) + np.uint64(1)) * _GOLDEN + np.uint64(int.from_bytes(seed, "little"))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)


def lowest(of: Ranks, most: int) -> NDArray[np.intp]:
    """Where the `most` lowest ranks are, in the order of the rows."""
    if len(of) <= most:
        return np.arange(len(of))
    return np.sort(np.argpartition(of, most - 1)[:most])


class RowSample:
    """Takes rows in pieces; holds at most twice the sample and one piece."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._pieces: list[Piece] = []

    def add(self, of: Ranks, times: NDArray[np.int64], rows: NDArray[np.float64]) -> None:
        """More rows, with their ranks and event times."""
        self._pieces.append((of, times, rows))
        self._held += len(of)
        if self._held >= 2 * self._most:
            self._pieces = [self._chosen()]
            self._held = len(self._pieces[0][0])

    def merge(self, other: "RowSample") -> None:
        """Take in what another sample, of other rows, holds."""
        for piece in other.held:
            self.add(*piece)

    @property
    def held(self) -> tuple[Piece, ...]:
        """What it is made of: at least the sample."""
        return tuple(self._pieces)

    def rows(self) -> NDArray[np.float64]:
        """The sample in the order of event time; rows of the same moment in the order of the log."""
        return self.rows_and_times()[0]

    def rows_and_times(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The same with the event time of each."""
        _, times, rows = self._chosen()
        order = np.argsort(times, kind="stable")
        return rows[order], times[order]

    def _chosen(self) -> Piece:
        of, times, rows = (np.concatenate(each) for each in zip(*self._pieces, strict=True))
        chosen = lowest(of, self._most)
        return of[chosen], times[chosen], rows[chosen]
