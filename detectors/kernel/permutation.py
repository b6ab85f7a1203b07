"""Unbiased MMD^2 for a labelling of rows, and for many random labellings at once.

A. Gretton, K. Borgwardt, M. Rasch, B. Schoelkopf and A. Smola, "A Kernel Two-Sample Test", JMLR 13 (2012), eq. 3. With
K the kernel of all pairs (zero for a row with itself) and s the indicator of one of the two groups of rows, all three
sums of that equation follow from s'Ks, s'K1 and 1'K1. So permutations need no copies of K: their indicators side by
side are one matrix. Of several kernels, the statistic is the largest of their weighted MMD^2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Backend, Rows, frozen
from detectors.kernel.tiles import Labels, Ladder, Pool, Scan, Tiles, Values, scan

KEPT_BYTES = 2**27
"""The most that one reference keeps of its kernel (128 MiB: some 5,500 rows); of more rows, it keeps nothing."""
LABEL_BYTES = 2**25
"""The most that labellings take at a time, a byte for each row; for further ones, tiles are computed again."""
LABELLINGS_AT_ONCE = 1024

_DRAWN_AT_ONCE = 2**20
_SUMMED_AT_ONCE = 2**10
_LOST = 1e-9  # of the sum of squares: less than that is what the difference of three such sums makes of rounding
_ROUNDING = 1e-12  # relative to the sums' own size, and far above what adding kernel values tile by tile can lose


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """Sums of the kernel over ordered pairs of different rows, for each level of the ladder."""

    counts: tuple[int, int]
    """Reference rows and window rows, two at least of each."""
    reference: Values
    """Shape (levels,), like the others: between reference rows."""
    across: Values
    """Reference rows by window rows, each pair once."""
    window: Values
    """Between window rows."""
    row_squares: Values
    """The squares of each row's sum over all others, whatever their group; shape (kernels,)."""

    def discrepancies(self) -> Values:
        """MMD^2 of each kernel, shape (kernels,)."""
        return _discrepancies(self.counts, self.reference[::2], self.across[::2], self.window[::2])

    def sizes(self) -> Values:
        """How large the numbers are whose difference MMD^2 is, shape (kernels,)."""
        return _discrepancies(self.counts, self.reference[::2], -self.across[::2], self.window[::2])

    def spreads(self) -> Values:
        """The root mean square of each kernel over all pairs of different rows, centred; shape (kernels,).

        MMD^2 sums the kernel with weights that add up to zero for each row, so that what all of a row's values have in
        common does not count. The rest is the U-centred kernel (G. Szekely and M. Rizzo, "Partial distance correlation
        with methods for dissimilarities", Annals of Statistics 42 (2014), eq. 3.1), and the variance of MMD^2 over all
        labellings is its mean square, times a number that only the counts determine. It is the same whichever rows are
        called reference, and zero where rounding has left nothing of it.
        """
        rows = sum(self.counts)
        sums = self.reference + 2 * self.across + self.window
        squares = sums[1::2] - 2 * self.row_squares / (rows - 2) + sums[::2] ** 2 / ((rows - 1) * (rows - 2))
        lost = squares <= _LOST * sums[1::2]
        spreads: Values = np.sqrt(np.where(lost, 0.0, squares) / (rows * (rows - 3)))
        return spreads


@dataclass(frozen=True, slots=True, eq=False)
class KnownRows:
    """Reference rows, and what every test needs of the kernel between them."""

    backend: Backend
    """Where kernels are computed."""
    ladder: Ladder
    rows: Rows
    """Placed; on the host."""
    tiles: Tiles
    """The first kernel, there; empty where that is too much to keep."""
    sums: Values
    """Shape (levels, rows): each row's kernel with the others."""

    @classmethod
    def of(cls, rows: Rows, backend: Backend, ladder: Ladder) -> Self:
        """Of placed rows on the host."""
        pool = Pool.of(backend, rows)
        largest = pool.bands[0].stop - pool.bands[0].start
        if 4 * len(rows) * (len(rows) + largest) <= KEPT_BYTES:
            pool = pool.known()
        sums = scan(pool, ladder).sums[:, 0]
        return cls(backend, ladder, frozen(rows), pool.tiles, frozen(sums))

    def totals(self, window: Rows) -> Totals:
        """With placed window rows on the host."""
        pool = Pool.of(self.backend, self.rows, window)
        sums = scan(pool, self.ladder, sums_from=pool.split).sums
        return _totals(self.sums, sums)

    def totals_without(self, left_out: NDArray[np.intp], window: Rows) -> Totals:
        """The same without the reference rows at these positions."""
        others = np.delete(self.rows, left_out, axis=0)
        apart = Pool.of(self.backend, others, self.rows[left_out])
        lost = scan(apart, self.ladder, sums_from=apart.split).sums[:, 1, : len(others)]
        pool = Pool.of(self.backend, others, window)
        sums = scan(pool, self.ladder, sums_from=pool.split).sums
        return _totals(np.maximum(np.delete(self.sums, left_out, axis=1) - lost, 0), sums)

    def permuted(self, window: Rows, permutations: int, seed: tuple[int, ...]) -> tuple[Totals, Values]:
        """The totals as they are, and each kernel's MMD^2 under random labellings, shape (kernels, permutations)."""
        pool = Pool.of(self.backend, self.rows, window, self.tiles)
        scans = self._scans(pool, len(window), permutations, np.random.default_rng(seed))
        labels, found = next(scans)
        totals = _totals(self.sums, found.sums)
        sums = found.sums[::2].sum(axis=1)
        sums[:, : len(self.rows)] += self.sums[::2]
        values = [_relabelled(found.forms, sums, labels)]
        values.extend(_relabelled(again.forms, sums, labels) for labels, again in scans)
        return totals, np.concatenate(values, axis=1)

    def _scans(
        self, pool: Pool, window: int, permutations: int, generator: np.random.Generator
    ) -> Iterator[tuple[Labels, Scan]]:
        """As many labellings at a time as may be, and what they gave; row sums with the first only."""
        n, rows = len(self.rows), len(self.rows) + window
        at_once = max(1, min(LABELLINGS_AT_ONCE, LABEL_BYTES // rows))
        for start in range(0, permutations, at_once):
            labels = labellings(generator, min(at_once, permutations - start), min(n, window), rows)
            yield labels, scan(pool, self.ladder, sums_from=len(pool.bands) if start else pool.split, labels=labels)


def statistic(discrepancies: Values, weights: Values) -> Values:
    """The largest weighted MMD^2 over the first axis, that of the kernels; zero where no kernel has a weight."""
    weighted = weights > 0
    if not weighted.any():
        return np.zeros(discrepancies.shape[1:])
    largest: Values = (discrepancies[weighted].T * weights[weighted]).T.max(axis=0)
    return largest


def p_value(totals: Totals, permuted: Values, weights: Values) -> float:
    """(b + 1) / (P + 1), with b the permutations that are at least as extreme as what was observed.

    Whatever equals the observed value but for rounding counts as extreme: that can only make p larger.
    """
    observed = statistic(totals.discrepancies(), weights)
    rounding = _ROUNDING * statistic(totals.sizes(), weights)
    extreme = int(np.count_nonzero(statistic(permuted, weights) >= observed - rounding))
    return (extreme + 1) / (1 + int(permuted.shape[1]))


def labellings(generator: np.random.Generator, count: int, chosen: int, rows: int) -> Labels:
    """Shape (count, rows): in each row of it 1 for the rows of one group, `chosen` of them, and 0 for the others."""
    labels = np.zeros((count, rows), dtype=np.uint8)
    step = max(1, _DRAWN_AT_ONCE // rows)
    for start in range(0, count, step):
        some = labels[start : start + step]
        drawn = np.argpartition(generator.random(some.shape), chosen - 1, axis=1)[:, :chosen]
        np.put_along_axis(some, drawn, 1, axis=1)
    return labels


def _relabelled(own: Values, sums: Values, labels: Labels) -> Values:
    """MMD^2 from s'Ks and K1, shape (kernels, labellings).

    The labels are those of the smaller group, whose own sum would be lost in a difference of far larger ones.
    """
    rows, total = labels.shape[1], sums.sum(axis=1)[:, np.newaxis]
    chosen = int(labels[0].sum())
    any_other = np.zeros_like(own)
    for start in range(0, rows, _SUMMED_AT_ONCE):
        some = slice(start, start + _SUMMED_AT_ONCE)
        any_other += sums[:, some] @ labels[:, some].T.astype(np.float64)
    others = total - 2 * any_other + own
    return _discrepancies((chosen, rows - chosen), own, any_other - own, others)


def _totals(known: Values, sums: Values) -> Totals:
    """From the reference rows' sums over one another, and all other sums of all rows."""
    n = known.shape[1]
    rows = sums[::2].sum(axis=1)
    rows[:, :n] += known[::2]
    across, within = sums[:, 0, n:].sum(axis=1), sums[:, 1, n:].sum(axis=1)
    return Totals((n, sums.shape[2] - n), known.sum(axis=1), across, within, (rows**2).sum(axis=1))


def _discrepancies(counts: tuple[int, int], first: Values, across: Values, second: Values) -> Values:
    n, m = counts
    values: Values = first / (n * (n - 1)) + second / (m * (m - 1)) - 2 * across / (n * m)
    return values
