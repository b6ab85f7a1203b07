"""What ties do to a test on joint ranks: how many of both samples' values are equal, and what follows for its law."""

import numpy as np
from numpy.typing import NDArray

from detectors.rank.placement import Placement
from detectors.rank.reference import Integers, RankReference

Numbers = NDArray[np.float64]


def tied(reference: RankReference, placement: Placement) -> list[int]:
    """The features in which any two of both samples' values are equal, and neither sample is empty."""
    n, m = placement.counts()
    copies = placement.total((placement.last - placement.first) + (placement.not_above - placement.below))
    found: list[int] = np.flatnonzero((n > 0) & (m > 0) & ((reference.power_sums[:, 1] > n) | (copies > m))).tolist()
    return found


def together(
    reference: RankReference, placement: Placement, feature: int, *, held: bool = False
) -> tuple[Integers, Integers]:
    """How many equal each distinct value of both samples, ascending, and how many of these are the window's.

    Held values are a part of the reference.
    """
    knots = len(reference.knots.values[feature])
    start = reference.offsets[feature, 0]
    ranks = np.arange(knots + 1) if reference.untied else reference.ranks[start : start + knots + 1]
    present = int(np.broadcast_to(placement.window_values, (reference.features, 1))[feature, 0])
    cells = placement.cells[feature, :present]
    own = (placement.first, placement.last)
    first, last = (np.broadcast_to(each, placement.cells.shape)[feature, :present] for each in own)
    leads = first == np.arange(present)  # of its equals in the window
    cells, copies = cells[leads], (last - first)[leads]
    new = cells & 1 == 0  # between two of the reference's values
    place = (cells >> 1) + np.cumsum(new) - new
    equals = np.zeros(knots + int(new.sum()), dtype=np.int64)
    old = np.ones(len(equals), dtype=np.bool_)
    old[place[new]] = False
    equals[old] = np.diff(ranks)
    window = np.zeros_like(equals)
    window[place] = copies
    return (equals if held else equals + window), window


def merged(counts: Integers, most: int) -> Integers:
    """The counts of ascending distinct values, neighbours taken together as if tied, so that there are at most so many.

    A quarter of them are the smallest values and a quarter the largest, each by itself; upside down it is the same.
    Which ones are taken together does not depend on the sample that each row is of, so that a law given the ties holds
    for them as well.
    """
    values = len(counts)
    if values <= most:
        return counts
    outer = most // 4
    inner, half = values - 2 * outer, (most - 2 * outer - 1) // 2
    left = np.arange(half + 1) * inner // (2 * half + 1)
    middle = outer + np.concatenate([left, inner - left[:0:-1]])
    starts = np.concatenate([np.arange(outer), middle, np.arange(values - outer, values)])
    found: Integers = np.add.reduceat(counts, starts)
    return found


def variance(weights: Numbers, own: Numbers, lower: Numbers, upper: Numbers) -> float:
    """Of a weighed sum of squares of centred normal deviates.

    Their variances are `own`, and the covariance of the i-th and the j-th is lower[i] upper[j] for i < j: twice the
    squared covariances, weighed and summed.
    """
    lower, upper = weights * lower**2, weights * upper**2
    return float(2 * (np.sum((weights * own) ** 2) + 2 * upper @ (np.cumsum(lower) - lower)))
