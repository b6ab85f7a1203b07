"""Where a window's values stand, both among those of the reference and among themselves."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import on_host
from detectors.identity import refuse_other
from detectors.rank.reference import Integers, RankReference
from detectors.rank.values import MISSING, Values

_LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """All arrays broadcast to the shape (features, rows); rows ascend."""

    reference_values: Integers
    """Shape (features or 1, 1): those that are not missing."""
    window_values: Integers
    """Shape (features or 1, 1): likewise."""
    cells: Integers
    """2k+1: equal to the k-th distinct value of the reference; 2k: in the gap below it."""
    below: Integers
    """Reference values below the window's."""
    not_above: Integers
    """Reference values below the window's or equal to it."""
    first: Integers
    """Window values below this one."""
    last: Integers
    """Window values below this one or equal to it, itself included."""
    absent: NDArray[np.bool_] | None
    """Where a value is missing, and nothing else holds; None if none is."""

    @classmethod
    def of(cls, reference: RankReference, summary: Values) -> Self:
        """Search the values; raises `ReferenceMismatch`."""
        refuse_other(reference.digest, summary)
        values = summary.numbers
        among_themselves = _among_themselves(values)
        absent = None
        present = np.array([[summary.count]])
        if values.size and (values[:, -1] == MISSING).any():
            absent = values == MISSING
            present = summary.count - absent.sum(axis=1, keepdims=True)
            values = np.minimum(values, _LARGEST)  # so that the search meets finite numbers only
        cells = np.empty(values.shape, dtype=np.int64)
        for first, some in reference.parts(values):
            cells[first : first + len(some)] = on_host(reference.knots.cells(reference.knots.backend.put(some), first))
        below, not_above = reference.below(cells >> 1), reference.below((cells + 1) >> 1)
        return cls(reference.present, present, cells, below, not_above, *among_themselves, absent)

    def counts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Shape (features,) each: values of the reference and of the window that are not missing."""
        features = (len(self.cells),)
        n, m = (np.broadcast_to(counts[:, 0], features) for counts in (self.reference_values, self.window_values))
        return n.astype(np.float64), m.astype(np.float64)

    def total(self, numbers: NDArray[Any]) -> NDArray[np.float64]:
        """Shape (features,): the sum over the rows, those with missing values left out."""
        numbers = np.broadcast_to(numbers, self.cells.shape)
        total: NDArray[np.float64] = numbers.sum(axis=1, where=True if self.absent is None else ~self.absent)
        return total

    def without_held(self) -> Self:
        """The same window among the other reference values, where it is itself a part of the reference."""
        return type(self)(
            reference_values=self.reference_values - self.window_values,
            window_values=self.window_values,
            cells=self.cells,
            below=self.below - self.first,
            not_above=self.not_above - self.last,
            first=self.first,
            last=self.last,
            absent=self.absent,
        )


def _among_themselves(values: NDArray[np.float64]) -> tuple[Integers, Integers]:
    """How many lie below each, and how many do not lie above it."""
    order = np.arange(values.shape[1]).reshape(1, -1)
    starts = np.ones(values.shape, dtype=np.bool_)
    np.not_equal(values[:, 1:], values[:, :-1], out=starts[:, 1:])
    if starts.all():
        return order, order + 1
    first = np.maximum.accumulate(np.where(starts, order, 0), axis=1)
    ends = np.roll(starts, -1, axis=1)
    last = np.minimum.accumulate(np.where(ends, order + 1, values.shape[1])[:, ::-1], axis=1)[:, ::-1]
    return first, last
