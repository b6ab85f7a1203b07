"""What windows of the reference's own rows would measure, drawn at random: for data that no limit theorem is near to.

Where a few rows of a kind of their own make up most of a reference's variance, the mean of a window is not normal: it
depends on how many such rows the window happens to hold, which is none, one or two. And how many there are in the long
run is known from few of them. So windows are drawn as the rows before them predict: each row is one of the reference's
or one of the window's own, all with the same probability (the urn of G. Polya, or the Bayesian bootstrap: D. Rubin,
Annals of Statistics 9 (1981)). One row more than the reference has makes room for what it happens not to hold: as far
from all others as those rows would be that had moved the window's mean, were they as few as its scatter allows.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, frozen, on_host
from detectors.sample import rows as samples

Values = NDArray[np.float64]

DRAWN = 1999
"""Windows. No p-value from them is less than one in so many and one."""

_FEW_ROWS = 40  # of a window, which are drawn one after another; of more, all of a kind are at once
_AT_ONCE = 2**20  # kernel values
_UNEVEN = 0.02  # see `Kinds.doubtful`: about fifty rows of the kind that matters in the smaller of the two samples


@dataclass(frozen=True, slots=True)
class Seen:
    """What drawn windows are compared with."""

    discrepancy: float
    """MMD^2, less what rounding may have added."""
    distance: float
    """The squared distance of the two means."""
    scatter: float
    """The window rows' mean squared distance from their own mean, and what rounding may have hidden."""

    @property
    def apart(self) -> float:
        """How far (squared) from all others those rows are that have moved the mean, if they are as few as can be.

        Of a share f of the rows that have moved by v, the mean moves by fv, and they scatter by f(1 - f)|v|^2.
        """
        return np.inf if self.distance <= 0 else (self.scatter + self.distance) ** 2 / self.distance


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """Different rows that stand for all rows of a reference, and the kernel between them."""

    weights: Values
    """Shape (kinds,): reference rows that each stands for."""
    kernel: Values
    """Shape (kinds, kinds)."""
    near: Values
    """Shape (kinds,): mean kernel with the reference."""
    within: float
    """The mean of that over the reference."""
    unevenness: float
    """Squared coefficient of variation of the rows' squared distances from the mean of all."""

    @classmethod
    def of(cls, weights: NDArray[Any], gram: Any) -> Self:
        """From the rows that each kind stands for, and the kernel between them, wherever it is."""
        kernel, count = on_host(gram), float(weights.sum())
        near = kernel @ weights / count
        within = float(near @ weights) / count
        apart = np.append(np.maximum(np.diag(kernel) - 2 * near + within, 0.0), 1 + within)
        rows = np.append(weights, 1.0)  # as many as there are, and one that is like none of them
        mean = float(apart @ rows) / (count + 1)
        unevenness = float((apart - mean) ** 2 @ rows) / (count + 1) / mean**2
        return cls(frozen(weights), frozen(kernel), frozen(near), within, unevenness)

    def doubtful(self, n: int, m: int) -> bool:
        """Whether the means of so many rows are not nearly normal.

        Of a kind that is a share q of all rows and far from the others, unevenness is 1/q, and this n q or m q below
        about fifty. Dense features have an unevenness below 1.
        """
        return self.unevenness * (1 / n + 1 / m) > _UNEVEN

    def p_value(self, seen: "Seen", n: int, m: int, seed: tuple[int, ...]) -> float:
        """The share of drawn windows that measure as much or more, the window itself among them."""
        generator = np.random.default_rng(seed)
        within, across = self._with_another(seen.apart)._drawn(n, m, generator)  # noqa: SLF001 - the same class
        measured = within - 2 * across + self.within - (1 - within) / (m - 1) - (1 - self.within) / (n - 1)
        return (1 + int((measured >= seen.discrepancy).sum())) / (1 + DRAWN)

    def _with_another(self, apart: float) -> Self:
        """With one kind more, of no reference rows, and so far from their mean (squared), but no nearer than most."""
        like = 1.0 if self.within <= 0 else min(max((1 + self.within - apart) / (2 * self.within), 0.0), 1.0)
        kernel = np.pad(self.kernel, (0, 1))
        kernel[-1, :-1] = kernel[:-1, -1] = like * self.near
        kernel[-1, -1] = 1.0
        weights, near = np.append(self.weights, 0.0), np.append(self.near, like * self.within)
        return type(self)(weights, kernel, near, self.within, self.unevenness)

    def _drawn(self, n: int, m: int, generator: np.random.Generator) -> tuple[Values, Values]:
        """Each window's mean kernel within itself and with the reference; shape (windows,)."""
        odd = self._one_more(generator)
        if m <= _FEW_ROWS:
            rows = self._row_by_row(odd, n, m, generator)
            within = np.zeros(DRAWN)
            for row in range(m):
                within += self.kernel[rows, rows[:, row : row + 1]].sum(axis=1)
            return within / m**2, self.near[rows].mean(axis=1)
        within, across = np.empty(DRAWN), np.empty(DRAWN)
        step = max(1, _AT_ONCE // len(self.weights))
        expected = self.weights * (n / self.weights.sum())
        for start in range(0, DRAWN, step):
            some = slice(start, min(start + step, DRAWN))
            chances = np.tile(expected, (some.stop - start, 1))
            chances[np.arange(some.stop - start), odd[some]] += 1
            chances = generator.standard_gamma(chances)
            drawn = generator.multinomial(m, chances / chances.sum(axis=1, keepdims=True)) / m
            within[some] = ((drawn @ self.kernel) * drawn).sum(axis=1)
            across[some] = drawn @ self.near
        return within, across

    def _one_more(self, generator: np.random.Generator) -> NDArray[np.intp]:
        """Of which kind the one row more is in each drawn window: the rarer, the likelier."""
        likely = 1 / (1 + self.weights)
        return generator.choice(len(likely), size=DRAWN, p=likely / likely.sum())

    def _row_by_row(self, odd: NDArray[np.intp], n: int, m: int, generator: np.random.Generator) -> NDArray[np.intp]:
        """Shape (windows, m)."""
        share = np.cumsum(self.weights[:-1]) / self.weights.sum()
        rows = np.empty((DRAWN, m), dtype=np.intp)
        for row in range(m):
            place = generator.integers(0, n + 1 + row, size=DRAWN)
            kinds = np.minimum(np.searchsorted(share, (place + 0.5) / n), len(share) - 1)
            rows[:, row] = np.where(place == n, odd, kinds)
            again = np.flatnonzero(place > n)
            rows[again, row] = rows[again, place[again] - n - 1]
        return rows


def kinds_of(rows: Rows, most: int) -> tuple[samples.Positions, Values]:
    """Where rows of different kinds are, at most so many, and how many rows each stands for.

    Frequent rows stand for themselves; each of an even choice among the others, for as many of these.
    """
    order = samples.at_most(rows, len(rows), ())
    ordered = rows[order]
    first = np.flatnonzero(np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1)))
    counts = np.diff(np.append(first, len(rows))).astype(np.float64)
    if len(first) <= most:
        return order[first], counts
    frequent = counts * most > len(rows)
    others = np.flatnonzero(~frequent)
    chosen = others[np.linspace(0, len(others) - 1, most - int(frequent.sum())).round().astype(np.intp)]
    weights = np.where(frequent, counts, 0.0)
    weights[chosen] = counts[chosen] * (counts[others].sum() / counts[chosen].sum())
    kept = np.flatnonzero(weights)
    return order[first[kept]], weights[kept]


def evenly(weights: Values, most: int) -> NDArray[np.intp]:
    """The kinds of at most so many rows: of all, or of an even choice."""
    total = float(weights.sum())
    count = min(round(total), most)
    kinds = np.searchsorted(np.cumsum(weights), (np.arange(count) + 0.5) * (total / count))
    return np.minimum(kinds, len(weights) - 1)
