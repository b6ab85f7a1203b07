"""How far the distribution functions of window and reference get apart, feature by feature, in whole numbers.

With i of n reference values and j of m window values up to a place, nm times i/n - j/m is a whole number. It is largest
at a window value, where i is counted without what equals it and j without the value itself; and -(i/n - j/m) with both:
between two window values only the reference's function moves. Of equals the first is the extreme one, or the last, so
that ties need no care.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import frozen
from detectors.rank.counts import Counts, Tally
from detectors.rank.reference import Integers, RankReference

_NARROW = int(np.iinfo(np.int32).max)
_NONE: tuple[Any, Any, Any] = (np.zeros(0, dtype=np.intp),) * 3

Asked = Callable[[], NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Extremes:
    """The largest difference between i/n and j/m; arrays have the shape (features,)."""

    reference_values: Integers
    """n: those that are not missing."""
    window_values: Integers
    """m: likewise."""
    reached: Integers
    """nm times the largest difference."""
    distance: NDArray[np.float64]
    """The largest difference. Read-only; NaN where there are no values, and for one against one."""

    @classmethod
    def of(cls, reference: RankReference, summary: Counts, alternative: str) -> Self:
        """`greater` asks where i/n is larger, `less` where j/m is."""
        n, m = reference.present, np.array([[summary.count]])
        if (missing := summary.missing).any():
            m = m - missing.reshape(-1, 1)
        narrow = np.int32 if (int(n.max()) + 1) * (summary.count + 1) <= _NARROW else np.int64
        window = _Window(reference, n.astype(narrow), m.astype(narrow), summary.count, alternative)
        if unsearched := summary.unsearched:
            reached = window.by_values(unsearched.parts)
        elif tally := summary.tally:
            reached = window.by_tally(tally)
        else:
            reached = window.by_cells(summary.numbers)
        flat_n, flat_m = (np.broadcast_to(each[:, 0], reached.shape) for each in (n, m))
        distance = reached / np.maximum(flat_n * flat_m, 1)
        distance[(np.minimum(flat_n, flat_m) < 1) | (np.maximum(flat_n, flat_m) < 2)] = np.nan
        return cls(flat_n, flat_m, reached.astype(np.int64), frozen(distance))

    def alike(self) -> Iterator[tuple[int, int, NDArray[np.intp] | slice]]:
        """The features that can be measured, by their n and m."""
        measured = ~np.isnan(self.distance)
        if measured.all() and all(np.ptp(counts) == 0 for counts in (self.reference_values, self.window_values)):
            yield int(self.reference_values[0]), int(self.window_values[0]), slice(None)
            return
        sizes = np.stack([self.reference_values, self.window_values], axis=1)
        for n, m in np.unique(sizes[measured], axis=0).tolist():
            yield n, m, np.flatnonzero(measured & (sizes == (n, m)).all(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """A window's rows beside the reference. A row's lead is nm (i/n - j/m) with the j rows before it."""

    reference: RankReference
    n: NDArray[Any]
    """Shape (features or 1, 1)."""
    m: NDArray[Any]
    """Likewise."""
    rows: int
    alternative: str

    def by_cells(self, cells: NDArray[np.int32]) -> NDArray[Any]:
        """Shape (features,): the largest difference, from the cells of all rows, the missing ones last."""
        reached = np.zeros(len(cells), dtype=self.n.dtype)
        for first, some in self.reference.parts(cells) if self.rows else ():
            features = slice(first, first + len(some))
            reached[features] = self._largest(some, features)
        return reached

    def by_values(self, parts: Iterable[tuple[int, NDArray[np.float64]]]) -> NDArray[Any]:
        """Shape (features,): the largest difference, from the values of all rows, ascending, none of them missing.

        Brackets say which rows have to be looked up.
        """
        reached = np.zeros(self.reference.features, dtype=self.n.dtype)
        undecided = []
        for first, ordered in parts if self.rows else ():
            features = slice(first, first + len(ordered))
            reached[features], where = self._at_least(ordered, features)
            feature, row = np.divmod(where, self.rows)
            undecided.append((feature + first, row, ordered.reshape(-1)[where]))
        feature, row, values = (np.concatenate(each) for each in zip(*undecided, strict=True)) if undecided else _NONE
        if len(feature):
            differences = self._differences(feature, row, values)
            begins = np.flatnonzero(np.diff(feature, prepend=-1))
            some = feature[begins]
            reached[some] = np.maximum(reached[some], np.maximum.reduceat(differences, begins))
        return reached

    def by_tally(self, tally: Tally) -> NDArray[Any]:
        """Shape (features,): the largest difference, from the rows in every cell.

        At a cell without rows it is a difference between the functions like any other, so none is left out.
        """
        reference, starts = self.reference, tally.starts
        feature = np.repeat(np.arange(reference.features), np.diff(starts))
        cell = np.arange(len(feature)) - starts[feature]
        up_to = np.cumsum(tally.counts)
        up_to -= (up_to - tally.counts)[starts[:-1]][feature]
        below, not_above = (reference.below(k[:, np.newaxis], feature)[:, 0] for k in (cell >> 1, (cell + 1) >> 1))
        n, m = (each.astype(np.int64)[feature if len(each) > 1 else [0], 0] for each in (self.n, self.m))
        return self._either(
            np.maximum,
            lambda: np.maximum.reduceat(m * below - n * (up_to - tally.counts), starts[:-1]),
            lambda: np.maximum.reduceat(n * up_to - m * not_above, starts[:-1]),
        )

    def _largest(self, cells: NDArray[np.int32], features: slice) -> NDArray[Any]:
        absent = None
        if int(self.m.min()) < self.rows:
            absent = np.arange(self.rows) >= _of(self.m, features)
            cells = np.where(absent, 0, cells)
        leads = self._leads(self.reference.below(cells >> 1, features), features, absent)
        ahead, behind = leads, leads
        if self.alternative != "greater" and (cells & 1).any():  # some equal a value of the reference
            behind = self._leads(self.reference.below((cells + 1) >> 1, features), features, absent)
        n = _of(self.n, features)[:, 0]
        return self._either(np.maximum, lambda: ahead.max(axis=1), lambda: n - behind.min(axis=1))

    def _at_least(self, ordered: NDArray[np.float64], features: slice) -> tuple[NDArray[Any], NDArray[np.intp]]:
        """Shape (features,): what the largest difference is at least; and the rows, counted on, that may have more."""
        low, high = (self._leads(values, features) for values in self.reference.brackets.around(ordered, features))
        n = _of(self.n, features)
        reached = self._either(
            np.maximum, lambda: low.max(axis=1, keepdims=True), lambda: n - high.min(axis=1, keepdims=True)
        )
        more = self._either(np.logical_or, lambda: high > reached, lambda: low < n - reached)
        return reached[:, 0], np.flatnonzero(more)

    def _differences(
        self, feature: NDArray[np.intp], row: NDArray[np.intp], values: NDArray[np.float64]
    ) -> NDArray[Any]:
        """Those at some rows, each of the feature beside it."""
        cells = self.reference.knots.cells_at(values, feature)
        below, not_above = (
            self.reference.below(k[:, np.newaxis], feature)[:, 0] for k in (cells >> 1, (cells + 1) >> 1)
        )
        # As arrays of one number, not as numbers: those would not widen what they are multiplied with in numpy 1.
        n, m = (each[feature, 0] if len(each) > 1 else each[0] for each in (self.n, self.m))
        return self._either(np.maximum, lambda: m * below - n * row, lambda: n + n * row - m * not_above)

    def _either(self, both: np.ufunc, ahead: Asked, behind: Asked) -> NDArray[Any]:
        """What the alternative asks for."""
        if self.alternative == "two-sided":
            return np.asarray(both(ahead(), behind()))
        return ahead() if self.alternative == "greater" else behind()

    def _leads(self, values: NDArray[Any], features: slice, absent: NDArray[np.bool_] | None = None) -> NDArray[Any]:
        """With so many reference values up to each row; an absent row has the lead of the first."""
        leads: NDArray[Any] = np.multiply(values, _of(self.m, features), dtype=self.n.dtype)
        leads -= _of(self.n, features) * np.arange(self.rows, dtype=self.n.dtype)
        return leads if absent is None else np.where(absent, leads[:, :1], leads)


def _of(counts: NDArray[Any], features: slice) -> NDArray[Any]:
    return counts if len(counts) == 1 else counts[features]
