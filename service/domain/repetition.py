"""Rows that were sent twice: a reference that is in part a copy of itself.

Its blocks seem to be as many as its rows say, and what they calibrate holds for as few as there really are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SHARE = 0.1
"""Of all rows, at one distance from an equal row: a copied stretch. Rows of few values repeat at many distances."""
_ODD = 0x9E3779B97F4A7C15  # any odd number with its bits well mixed: Knuth's multiplicative hashing


@dataclass(frozen=True, slots=True)
class Repetition:
    """A stretch of rows that was there before."""

    rows: int
    """So many of them ..."""
    distance: int
    """... are the rows so many places before them."""


def repetition(rows: NDArray[np.float64], shortest: int) -> Repetition | None:
    """The commonest, among those at least `shortest` rows apart; None where there is no such stretch.

    `rows` has shape (rows, features).
    """
    hashes = _hashes(rows)
    order = np.argsort(hashes, kind="stable")
    equal = hashes[order[1:]] == hashes[order[:-1]]
    distances = (order[1:] - order[:-1])[equal]
    distances = distances[distances >= shortest]
    if not len(distances) or len(distances) < _SHARE * len(rows):
        return None
    found, counts = np.unique(distances, return_counts=True)
    commonest = int(counts.argmax())
    if counts[commonest] < _SHARE * len(rows):
        return None
    return Repetition(int(counts[commonest]), int(found[commonest]))


def _hashes(rows: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Of each row's bits, in as little memory as one column."""
    hashes = np.zeros(len(rows), dtype=np.uint64)
    for column in range(rows.shape[1]):
        # Zero has two spellings, and what is missing has many.
        values = np.where(np.isnan(rows[:, column]), np.nan, rows[:, column] + 0.0)
        hashes = (hashes ^ values.view(np.uint64)) * np.uint64(_ODD)
        hashes ^= hashes >> np.uint64(32)
    return hashes
