"""64-bit numbers of rows, by which equal ones are found, under a key that whoever hands in rows does not know.

Every value is mixed with numbers of its column's own before they are added up, so that without the key nobody can make
two rows of one number, and have another's row be taken for a repetition.
"""

from dataclasses import dataclass
from hashlib import blake2b, shake_256
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, frozen

Hashes = NDArray[np.uint64]

_HALF = np.uint64(32)
_AT_ONCE = 16_384
"""Values whose intermediate numbers fit a processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class RowHash:
    """Shape (features,) each: what a column's values are mixed with."""

    masks: Hashes
    first: Hashes
    second: Hashes

    @classmethod
    def keyed_by(cls, rows: Rows) -> Self:
        """The key are reference rows: the same in every process, and told to nobody who may only observe."""
        key = blake2b(np.ascontiguousarray(rows).data, person=b"row hash").digest()
        stream = shake_256(key).digest(24 * rows.shape[1])
        masks, first, second = np.frombuffer(stream, dtype="<u8").astype(np.uint64).reshape(3, -1)
        odd = np.uint64(1)
        return cls(frozen(masks), frozen(first | odd), frozen(second | odd))

    def __call__(self, rows: Rows) -> Hashes:
        """Shape (rows,). Missing values are equal to one another, and so are the two zeros."""
        found = np.empty(len(rows), dtype=np.uint64)
        step = max(1, _AT_ONCE // rows.shape[1])
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            found[part] = self._mixed(rows[part])
        return found

    def _mixed(self, rows: Rows) -> Hashes:
        values = rows + 0.0
        values[np.isnan(values)] = np.nan
        bits = values.view(np.uint64)
        bits ^= self.masks
        bits *= self.first
        bits ^= bits >> _HALF
        bits *= self.second
        total = np.asarray(bits.sum(axis=1, dtype=np.uint64))
        return np.asarray(total ^ (total >> _HALF))


def repeated(hashes: Hashes) -> int:
    """How many are equal to another one before them."""
    return len(hashes) - len(np.unique(hashes))
