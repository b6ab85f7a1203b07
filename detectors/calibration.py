"""What a detector's statistics look like while nothing happens: the null distribution from blocks of the reference.

Rows that arrive together resemble one another, so a window differs from its reference by more than independent rows
would. Cutting the time-ordered reference into contiguous blocks of the window's size, and measuring each block against
all the others, shows by how much. Nothing here decides: it turns statistics into p-values that hold for such windows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from detectors.arrays import Backend, Rows, backend_of, frozen, measurable_rows
from detectors.errors import InvalidParameter, TooFewRows
from detectors.protocols import Detector
from detectors.results import Measurement

Values = NDArray[np.float64]
Progress = Callable[[int, int], None]
"""Told how many blocks are done, and how many there are."""

MINIMUM_BLOCKS = 3
"""The others of a block need a mean and a deviation."""

_CONFIDENCE = 0.9
_NO_DEVIATION = 1e-9  # what a statistic that never moved is measured in: any move is large, and still finite


@runtime_checkable
class LeavesOut(Protocol):
    """A detector that can measure rows of its reference against the others without fitting anew."""

    def measure_held_out(self, reference: Any, summary: Any, held: slice, /) -> Measurement:
        """Measure the summary of the rows at `held` against the others.

        As `measure(fit(the others), summary)` would, but for what a detector takes from the whole reference as a
        yardstick (its docstring says so).
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class BlockNull:
    """One detector's statistics for the blocks of the reference."""

    detector: str
    window_rows: int
    statistics: Values
    """Shape (blocks, k): k is the number of features, or 1."""

    @property
    def blocks(self) -> int:
        """How many there are."""
        return len(self.statistics)


def block_null(
    detector: Detector[Any, Any], rows: Any, window_rows: int, *, progress: Progress | None = None
) -> BlockNull:
    """Measure every block of `window_rows` rows against the rest; rows left over at the end are in the rest only.

    Raises `InvalidRows`, `InvalidParameter`, and `TooFewRows` if there are too few blocks or one cannot be measured.
    """
    checked = measurable_rows(rows)
    if window_rows < 1:
        raise InvalidParameter("window_rows", f"window_rows is at least 1, not {window_rows}")
    blocks = len(checked) // window_rows
    if blocks < MINIMUM_BLOCKS:
        made = f"{len(checked)} reference rows make {blocks} blocks of {window_rows}"
        raise TooFewRows(f"{made}, and at least {MINIMUM_BLOCKS} blocks are needed")
    measure = _measuring(detector, checked, backend_of(rows))
    statistics = []
    for block in range(blocks):
        first = block * window_rows
        statistic = measure(slice(first, first + window_rows)).statistic
        if np.isnan(statistic).any():
            column = f", column {np.isnan(statistic).argmax()}" if statistic.size > 1 else ""
            place = f"rows {first} to {first + window_rows - 1}{column}"
            raise TooFewRows(f"too little to measure in {place}: too many values are missing")
        statistics.append(statistic)
        if progress is not None:
            progress(block + 1, blocks)
    return BlockNull(detector.name, window_rows, frozen(np.stack(statistics)))


def _measuring(detector: Detector[Any, Any], rows: Rows, backend: Backend) -> Callable[[slice], Measurement]:
    """How to measure some of the rows against the others."""
    if isinstance(detector, LeavesOut):
        leaving_out: LeavesOut = detector
        reference = detector.fit(backend.put(rows))
        return lambda held: leaving_out.measure_held_out(reference, detector.summarise(reference, rows[held]), held)

    def fit_anew(held: slice) -> Measurement:
        others = detector.fit(backend.put(np.concatenate([rows[: held.start], rows[held.stop :]])))
        return detector.measure(others, detector.summarise(others, rows[held]))

    return fit_anew


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """How often blocks of the reference would have raised an alarm, each judged by the others alone."""

    alarms: int
    blocks: int
    rate: float
    lower: float
    upper: float
    """95 % confidence interval of the rate (Clopper-Pearson), as if blocks were independent."""

    @classmethod
    def of(cls, alarms: int, blocks: int) -> Self:
        lower = float(betaincinv(alarms, blocks - alarms + 1, 0.025)) if alarms else 0.0
        upper = float(betaincinv(alarms + 1, blocks - alarms, 0.975)) if alarms < blocks else 1.0
        return cls(alarms, blocks, alarms / blocks, lower, upper)


@dataclass(frozen=True, slots=True, eq=False)
class JointNull:
    """The null distribution of the largest standardised statistic over detectors and features.

    Each block is standardised by the mean and deviation of the *other* blocks, just as a new window is by those of all
    blocks: with its own value in them, a block would look less extreme than a window that is just like it.
    """

    widths: tuple[int, ...]
    """Statistics of each detector."""
    means: Values
    """Over the blocks, for all detectors in a row."""
    deviations: Values
    largest: Values
    """Each block's largest standardised statistic, ascending."""

    @classmethod
    def of(cls, statistics: Values, widths: tuple[int, ...]) -> Self:
        """From the shape (blocks, all statistics)."""
        deviations = np.maximum(statistics.std(axis=0, ddof=1), _least_deviation(statistics))
        largest = np.sort(scores_by_others(statistics).max(axis=1))
        return cls(widths, frozen(statistics.mean(axis=0)), frozen(deviations), frozen(largest))

    @property
    def blocks(self) -> int:
        """How many the estimate rests on."""
        return len(self.largest)

    def score(self, statistics: Sequence[Values]) -> tuple[Values, ...]:
        """A window's statistics, detector by detector, in deviations from their means; NaN where one is NaN."""
        if tuple(len(each) for each in statistics) != self.widths:
            raise InvalidParameter("statistics", f"{[len(each) for each in statistics]} statistics, not {self.widths}")
        scores = (np.concatenate(statistics) - self.means) / self.deviations
        return tuple(np.split(scores, np.cumsum(self.widths)[:-1]))

    def largest_score(self, statistics: Sequence[Values]) -> float:
        """T: the largest of those that could be measured; NaN if none could."""
        measured = np.concatenate(self.score(statistics))
        measured = measured[~np.isnan(measured)]
        return float(measured.max()) if measured.size else float("nan")

    def p_value(self, largest_score: float) -> float:
        """(1 + blocks that are at least as extreme) / (1 + blocks); NaN for NaN."""
        if np.isnan(largest_score):
            return float("nan")
        extreme = self.blocks - int(np.searchsorted(self.largest, largest_score, side="left"))
        return (1 + extreme) / (1 + self.blocks)

    def threshold(self, alpha: float) -> float | None:
        """p <= alpha if and only if T is above it; None if there are too few blocks for so small an alpha."""
        rank = _rank(alpha, self.blocks)
        return None if rank < 1 else float(self.largest[-rank])


def scores_by_others(statistics: Values, least_share: float = 0.0) -> Values:
    """Each block standardised by the mean and deviation of the others, shape (blocks, statistics).

    `least_share`: of the deviation of all blocks, which that of the others is taken to have at least, so that one block
    that differs from others which are all the same does so by a finite number of deviations.
    """
    blocks = len(statistics)
    centred = statistics - statistics.mean(axis=0)
    squares = (centred**2).sum(axis=0)
    # Without block b the mean moves by -c_b / (B - 1), and the sum of squares shrinks by c_b^2 B / (B - 1).
    squares_of_others = np.maximum(squares - centred**2 * (blocks / (blocks - 1)), 0)
    least = np.maximum(_least_deviation(statistics), least_share * np.sqrt(squares / (blocks - 1)))
    return np.asarray(centred * (blocks / (blocks - 1)) / np.maximum(np.sqrt(squares_of_others / (blocks - 2)), least))


def _least_deviation(statistics: Values) -> Values:
    return np.asarray(_NO_DEVIATION * np.maximum(np.abs(statistics).max(axis=0), 1))


def blocks_needed(alpha: float) -> int:
    """The fewest blocks with which a p-value can be as small as alpha."""
    _refuse_no_probability(alpha)
    blocks = max(int(np.ceil(1 / alpha)) - 2, 0)
    while _rank(alpha, blocks) < 1:
        blocks += 1
    return blocks


def held(p_value: float, blocks: int) -> float:
    """A p-value against so many blocks, as it holds for the reference at hand in nine of ten cases; NaN for NaN.

    P-values against blocks are right on average over references, while one reference judges all windows to come: the
    rate at which these exceed what r of B + 1 do is Beta(r, B + 1 - r) (Bates et al. 2023), of which this is an upper
    bound. That of the smallest p-value stays what it is: blocks allow no rarer alarm.
    """
    rank = round(p_value * (blocks + 1)) if not np.isnan(p_value) else 0
    return p_value if rank <= 1 or rank > blocks else float(betaincinv(rank, blocks + 1 - rank, _CONFIDENCE))


def level_held(alpha: float, blocks: int) -> float:
    """The largest p-value against so many blocks for which `held` is at most alpha; 0 if there is none."""
    ranks = np.arange(1, _rank(alpha, blocks) + 1)
    held_ranks = [int(rank) for rank in ranks if held(rank / (blocks + 1), blocks) <= alpha]
    return max(held_ranks, default=0) / (blocks + 1)


def joint_null(nulls: Sequence[BlockNull]) -> JointNull:
    """The null of several detectors over the same blocks."""
    if len({(null.blocks, null.window_rows) for null in nulls}) != 1:
        raise InvalidParameter("nulls", "the nulls are of one reference, cut into the same blocks")
    return JointNull.of(side_by_side(nulls), tuple(null.statistics.shape[1] for null in nulls))


def false_alarms(nulls: Sequence[BlockNull], alpha: float) -> FalseAlarms | None:
    """Judge each block by a joint null of the others; None if these are too few for alpha."""
    statistics = side_by_side(nulls)
    blocks = len(statistics)
    if blocks <= MINIMUM_BLOCKS or _rank(alpha, blocks - 1) < 1:
        return None
    alarms = 0
    for block, own in enumerate(statistics):
        others = JointNull.of(np.delete(statistics, block, axis=0), (statistics.shape[1],))
        alarms += others.p_value(others.largest_score([own])) <= alpha
    return FalseAlarms.of(alarms, blocks)


def effective_blocks(statistics: Values) -> float:
    """How many independent blocks say as much as these, which follow one another, shape (blocks, all statistics).

    From the correlation of each block's largest score with the next one's, as if it faded geometrically.
    """
    largest = scores_by_others(statistics).max(axis=1)
    ranks = np.argsort(np.argsort(largest)).astype(float)  # one extreme block must not hide what the others say
    centred = ranks - ranks.mean()
    correlation = float((centred[1:] * centred[:-1]).sum() / (centred**2).sum())
    memory = min(max(correlation, 0.0), 0.99)
    return len(statistics) * (1 - memory) / (1 + memory)


def side_by_side(nulls: Sequence[BlockNull]) -> Values:
    """Shape (blocks, all statistics), blocks in the order of time."""
    return np.concatenate([null.statistics for null in nulls], axis=1)


def _rank(alpha: float, blocks: int) -> int:
    """The largest k with k / (blocks + 1) <= alpha, in the very arithmetic that p-values are computed in."""
    _refuse_no_probability(alpha)
    rank = int(alpha * (blocks + 1))
    rank += (rank + 1) / (blocks + 1) <= alpha
    rank -= rank / (blocks + 1) > alpha
    return min(rank, blocks)


def _refuse_no_probability(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise InvalidParameter("alpha", f"alpha lies between 0 and 1, not {alpha}")
