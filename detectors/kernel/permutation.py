"""Unbiased MMD^2 for a labelling of rows, and for many random labellings as one matrix product.

A. Gretton, K. Borgwardt, M. Rasch, B. Schoelkopf and A. Smola, "A Kernel Two-Sample Test", JMLR 13 (2012), eq. 3. With
K the kernel of all pairs (zero for a row with itself) and s the indicator of the rows called reference, all three sums
of that equation follow from s'Ks, s'K1 and 1'K1. So permutations need no copies of K: their indicators side by side are
one matrix S, and KS is one product.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.kernel.gaussian import Matrix

Values = NDArray[np.float64]

_AT_ONCE = 128  # permutations in one product
_ROUNDING = 1e-12  # relative to the sums' own size, and far above what adding a few million kernel values can lose


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """The kernel of all pairs, in blocks: nothing of the size of all rows squared is ever put together."""

    reference: Matrix
    across: Matrix
    """Reference rows by window rows."""
    window: Matrix

    @property
    def counts(self) -> tuple[int, int]:
        """Reference rows and window rows."""
        return len(self.reference), len(self.window)


def discrepancy(blocks: Blocks) -> float:
    """MMD^2 with the labels as they are."""
    n, m = blocks.counts
    within = float(blocks.reference.sum()) / (n * (n - 1)) + float(blocks.window.sum()) / (m * (m - 1))
    return within - 2 * float(blocks.across.sum()) / (n * m)


def discrepancy_without(blocks: Blocks, left_out: NDArray[np.intp]) -> float:
    """The same without some of the reference rows."""
    n, m = blocks.counts
    n -= len(left_out)
    rows = blocks.reference[left_out]
    within_reference = float(blocks.reference.sum()) - 2 * float(rows.sum()) + float(rows[:, left_out].sum())
    across = float(blocks.across.sum()) - float(blocks.across[left_out].sum())
    within = within_reference / (n * (n - 1)) + float(blocks.window.sum()) / (m * (m - 1))
    return within - 2 * across / (n * m)


def p_value(blocks: Blocks, observed: float, permutations: int, seed: tuple[int, ...]) -> float:
    """(b + 1) / (P + 1), with b the permutations that are at least as extreme as what was observed.

    Whatever equals the observed value but for rounding counts as extreme: that can only make p larger.
    """
    n, m = blocks.counts
    size = float(blocks.reference.sum()) / (n * (n - 1)) + float(blocks.window.sum()) / (m * (m - 1))
    size += 2 * float(blocks.across.sum()) / (n * m)
    generator = np.random.default_rng(seed)
    extreme = 0
    for start in range(0, permutations, _AT_ONCE):
        labels = labellings(generator, min(_AT_ONCE, permutations - start), n, m)
        extreme += int((permuted(blocks, labels) >= observed - _ROUNDING * size).sum())
    return (extreme + 1) / (permutations + 1)


def labellings(generator: np.random.Generator, count: int, n: int, m: int) -> Matrix:
    """Shape (n + m, count): in each column 1 for the n rows that are called reference, 0 for the others."""
    chosen = np.argpartition(generator.random((count, n + m)), n - 1, axis=1)[:, :n]
    labels = np.zeros((count, n + m))
    np.put_along_axis(labels, chosen, 1.0, axis=1)
    return np.ascontiguousarray(labels.T)


def permuted(blocks: Blocks, labels: Matrix) -> Values:
    """MMD^2 under each labelling."""
    n, m = blocks.counts
    a, b = labels[:n], labels[n:]
    products = blocks.reference @ a
    products += 2 * (blocks.across @ b)
    own = np.einsum("ij,ij->j", a, products) + np.einsum("ij,ij->j", b, blocks.window @ b)
    sums_a = blocks.reference.sum(axis=1) + blocks.across.sum(axis=1)
    sums_b = blocks.window.sum(axis=1) + blocks.across.sum(axis=0)
    any_other = sums_a @ a + sums_b @ b
    total = sums_a.sum() + sums_b.sum()
    others = total - 2 * any_other + own
    values: Values = own / (n * (n - 1)) + others / (m * (m - 1)) - 2 * (any_other - own) / (n * m)
    return values
