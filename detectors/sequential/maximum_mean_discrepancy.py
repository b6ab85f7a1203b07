"""Maximum mean discrepancy between a sliding window and a fixed reference: all features together, row by row."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from numpy.typing import NDArray

from detectors.arrays import Rows, complete, frozen, measurable_rows
from detectors.calibration import Progress
from detectors.errors import InvalidDocument, TooFewRows
from detectors.identity import reference_digest, refuse_other
from detectors.parameters import MAXIMUM_SEED, positive_number, whole_number
from detectors.results import Scope
from detectors.sequential import silence
from detectors.sequential.placing import FARTHEST, ONE, Placing, kernel, kernel_of, kernel_sums
from detectors.sequential.ranks import Integers
from detectors.sequential.restoring import refuse_other_arrays, row_counts
from detectors.sequential.results import OnlineResult, OnlineResults, Values
from detectors.sequential.rows import single_row
from detectors.sequential.run_lengths import MAXIMUM_RUN_TIME, MAXIMUM_SIMULATED_ROWS, RunTime, Simulation, learn
from detectors.sequential.streams import MAXIMUM_BLOCK, Population, Stream, in_order, some_blocks

MINIMUM_WINDOW = 5
MAXIMUM_WINDOW = 2_000
MAXIMUM_REFERENCE = 5_000

_AT_ONCE = 2**17  # kernel values at a time
_UNHEARD_OF = 12.5  # over the square of the window: two or three novel rows where the reference's are all the same
_NONE = -1  # before the first row
_OF_REFERENCE = 0  # beside the other streams of random numbers that one seed gives


@dataclass(frozen=True, slots=True, eq=False)
class OnlineKernelReference:
    """The chosen reference rows, the kernel within them, and the threshold."""

    digest: str
    count: int
    placing: Placing
    rows: Rows
    """The chosen ones, placed."""
    within: int
    """The kernel's sum over pairs of different ones, in units of 1 / ONE."""
    thresholds: Values
    """Shape (1, 1)."""
    run_time: RunTime

    @property
    def features(self) -> int:
        """Columns of the reference."""
        return int(self.rows.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class RecentRows:
    """The last rows, and how much they resemble one another and the reference."""

    reference_digest: str
    rows: int
    """Rows seen since the start."""
    missing: Integers
    """Shape (1,): incomplete rows among them, which are left out."""
    unmeasured: Integers
    """Shape (1,): how many of the latest rows were incomplete, at most `silent_after`; see `silence`."""
    recent: Rows
    """Shape (window, features), placed, the newest last; zeros before the first."""
    resemblance: Integers
    """Shape (window,): each one's kernel with the reference, summed; 0 before the first."""
    following: Integers
    """Shape (window,): each one's kernel with the later ones, summed."""

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        rows = np.array(self.rows, dtype=np.int64)
        return {"missing": self.missing, "recent": self.recent, "rows": rows, "unmeasured": self.unmeasured}

    def __eq__(self, other: object, /) -> bool:
        if not isinstance(other, RecentRows):
            return NotImplemented
        return (
            (self.reference_digest, self.rows) == (other.reference_digest, other.rows)
            and np.array_equal(self.missing, other.missing)
            and np.array_equal(self.unmeasured, other.unmeasured)
            and np.array_equal(self.recent, other.recent)
            and np.array_equal(self.resemblance, other.resemblance)
            and np.array_equal(self.following, other.following)
        )

    def __hash__(self) -> int:
        return hash((self.reference_digest, self.rows))


@dataclass(frozen=True, slots=True)
class OnlineMaximumMeanDiscrepancy:
    """Statistic: the unbiased MMD^2 with a Gaussian kernel (Gretton et al., JMLR 13 (2012), eq. 3).

    Features count in deviations of the reference; the bandwidth is the median distance between its rows. A row with a
    missing value is counted and skipped (but see `silent_after`). Cost of a row: its kernel with the window and the
    chosen reference rows. The kernel is rounded to multiples of 2^-32, so that all sums are of integers and nothing
    drifts.
    """

    name: ClassVar[str] = "online_maximum_mean_discrepancy"
    scope: ClassVar[Scope] = Scope.JOINT

    expected_run_time: int = 10_000
    """Rows from the start to a false alarm, on average."""
    window: int = 50
    """Rows in the window."""
    maximum_reference_rows: int = 1000
    """Of more, a random choice is used."""
    bandwidth: float | None = None
    """Sigma, in deviations; None for the median distance."""
    silent_after: int = silence.SILENT_AFTER
    """Incomplete rows in a row after which the stream is undecided; so it is before its first complete one."""
    block_rows: int = 1
    """Rows that stay together when streams are simulated from the reference: 1 for independent rows; for a reference
    in the order of time, more than the time that rows resemble one another."""
    simulated_rows: int = 2_000_000
    """What calibrating may cost."""
    seed: int = 0
    """Of the choice of reference rows and of the simulated streams."""

    def __post_init__(self) -> None:
        whole_number("window", self.window, at_least=MINIMUM_WINDOW, at_most=MAXIMUM_WINDOW)
        expected, most = self.expected_run_time, MAXIMUM_RUN_TIME
        whole_number("expected_run_time", expected, at_least=2 * self.window, at_most=most)
        whole_number("maximum_reference_rows", self.maximum_reference_rows, at_least=2, at_most=MAXIMUM_REFERENCE)
        if self.bandwidth is not None:
            object.__setattr__(self, "bandwidth", positive_number("bandwidth", self.bandwidth))
        silence.check_silent_after(self.silent_after)
        whole_number("block_rows", self.block_rows, at_least=1, at_most=MAXIMUM_BLOCK)
        whole_number("simulated_rows", self.simulated_rows, at_least=1, at_most=MAXIMUM_SIMULATED_ROWS)
        whole_number("seed", self.seed, at_least=0, at_most=MAXIMUM_SEED)

    def fit(self, rows: Any, /, *, progress: Progress | None = None) -> OnlineKernelReference:
        """Choose rows, scale and bandwidth, and simulate streams; raises `InvalidRows`, `TooFewRows`."""
        checked = measurable_rows(rows)
        usable = in_order(complete(checked), self.block_rows)
        if len(usable) < self.window:
            raise TooFewRows(f"{len(usable)} complete reference rows, and at least as many as a window are needed")
        chosen = some_blocks(len(usable), self.block_rows, self.maximum_reference_rows, (self.seed, _OF_REFERENCE))
        population = Population.of(len(chosen), self.block_rows)
        placing = Placing.around(usable, self.bandwidth)
        placed = placing.place(usable[chosen])
        between = kernel(placed, placed)
        np.fill_diagonal(between, 0)
        within = int(between.sum())
        expected = self.expected_run_time * len(usable) / len(checked)  # rows that are not skipped
        thresholds, run_time = learn(
            Simulation.of(max(round(expected), self.window + 1), self.simulated_rows, self.window),
            population,
            _Streams.of(between, self.block_rows, self.window).statistics,
            seed=self.seed,
            least=np.full((1, 1), _UNHEARD_OF / self.window**2),
            progress=progress,
        )
        digest = reference_digest(self, checked)
        run_time = replace(run_time, expected=self.expected_run_time)
        return OnlineKernelReference(digest, len(checked), placing, frozen(placed), within, thresholds, run_time)

    def start(self, reference: OnlineKernelReference, /) -> RecentRows:
        return RecentRows(
            reference.digest,
            0,
            frozen(np.zeros(1, dtype=np.int64)),
            silence.from_the_start(1, self.silent_after),
            frozen(np.zeros((self.window, reference.features))),
            frozen(np.zeros(self.window, dtype=np.int64)),
            frozen(np.zeros(self.window, dtype=np.int64)),
        )

    def update(
        self, reference: OnlineKernelReference, state: RecentRows, row: Any, /
    ) -> tuple[RecentRows, OnlineResult]:
        after, results = self.run(reference, state, single_row(row))
        return after, results[0]

    def run(
        self, reference: OnlineKernelReference, state: RecentRows, rows: Any, /
    ) -> tuple[RecentRows, OnlineResults]:
        refuse_other(reference.digest, state)
        checked = measurable_rows(rows, features=reference.features)
        present = np.asarray(~np.isnan(checked).any(axis=1))
        statistic = np.full((len(checked), 1, 1), np.nan)
        parts, after = [self._newest(reference, state)], state
        step = max(1, _AT_ONCE // self.window)
        placed = reference.placing.place(checked[present])
        for first in range(0, len(placed), step):
            after, measured = self._advance(reference, after, placed[first : first + step])
            parts.append(measured)
        statistic[:, 0, 0] = np.concatenate(parts)[np.cumsum(present)]  # a skipped row changes nothing
        missing = state.missing + len(checked) - len(placed)
        unmeasured = silence.unmeasured_rows(state.unmeasured, present[:, None], self.silent_after)
        after = RecentRows(
            reference.digest,
            state.rows + len(checked),
            frozen(missing),
            silence.latest(state.unmeasured, unmeasured),
            after.recent,
            after.resemblance,
            after.following,
        )
        statistic = silence.hushed(statistic, unmeasured, self.silent_after)
        return after, OnlineResults(self.name, self.scope, state.rows + 1, statistic, reference.thresholds)

    def restore(self, reference: OnlineKernelReference, arrays: Mapping[str, NDArray[Any]], /) -> RecentRows:
        window, features = self.window, reference.features
        refuse_other_arrays(
            arrays,
            {
                "missing": (np.int64, (1,)),
                "recent": (np.float64, (window, features)),
                "rows": (np.int64, ()),
                "unmeasured": (np.int64, (1,)),
            },
        )
        rows, missing = row_counts(arrays)
        recent = arrays["recent"].astype(np.float64)
        empty = window - min(rows - int(missing[0]), window)
        if not (np.abs(recent) <= FARTHEST).all():
            raise InvalidDocument("recent: no row is placed there")
        if recent[:empty].any():
            raise InvalidDocument("recent: a row before the first one")
        # What the rows determine is computed anew: then it agrees with them, whatever machine wrote the arrays.
        following, resemblance = np.zeros((2, window), dtype=np.int64)
        newest = recent[empty:]
        following[empty:] = np.triu(kernel(newest, newest), 1).sum(axis=1)
        resemblance[empty:] = kernel_sums(newest, reference.rows)
        unmeasured = silence.restored(arrays, rows, missing, self.silent_after)
        return RecentRows(
            reference.digest, rows, missing, unmeasured, frozen(recent), frozen(resemblance), frozen(following)
        )

    def _newest(self, reference: OnlineKernelReference, state: RecentRows) -> Values:
        """The statistic before the first new row, shape (1,)."""
        if state.rows - int(state.missing[0]) < self.window:
            return np.full(1, np.nan)
        pairs, near = state.following.sum(keepdims=True), state.resemblance.sum(keepdims=True)
        return _discrepancy(self.window, len(reference.rows), pairs, near, reference.within)

    def _advance(self, reference: OnlineKernelReference, state: RecentRows, placed: Rows) -> tuple[RecentRows, Values]:
        """The state after these complete rows, and the statistic after each of them."""
        window, filled = self.window, min(state.rows - int(state.missing[0]), self.window)
        joined = np.concatenate([state.recent, placed])
        views = [sliding_window_view(column, window)[1:, :-1] for column in np.ascontiguousarray(joined.T)]
        between = kernel_of([view - new[:, None] for view, new in zip(views, placed.T, strict=True)])
        # The rows before the first one are none.
        empty = window - filled
        for row in range(min(empty - 1, len(placed))):
            between[row, : empty - 1 - row] = 0
        resemblance = np.concatenate([state.resemblance, kernel_sums(placed, reference.rows)])
        following = np.concatenate([state.following, np.zeros(len(placed), dtype=np.int64)])
        pairs, following = _slide(following, between)
        near = np.cumsum(resemblance)
        near = near[window:] - near[: len(placed)]
        measured = _discrepancy(window, len(reference.rows), pairs, near, reference.within)
        measured[: max(empty - 1, 0)] = np.nan
        after = RecentRows(
            state.reference_digest,
            state.rows + len(placed),
            state.missing,
            state.unmeasured,
            frozen(joined[-window:].copy()),
            frozen(resemblance[-window:].copy()),
            frozen(following[-window:].copy()),
        )
        return after, measured


@dataclass(frozen=True, slots=True)
class _Streams:
    """Statistics of streams drawn from the reference, none of whose rows may be compared with itself.

    Nor with those less than a block away, unless one draw brought both. Such kernels are replaced by the row's mean
    over the others, which is what they would be on average if the row were another one.
    """

    between: Integers
    """The kernel between reference rows."""
    apart: Integers
    """The same, with kernels of rows less than a block apart replaced."""
    resemblance: Integers
    """Shape (rows,): the kernel with the reference, summed, as if the row were another one."""
    within: int
    window: int
    blocks: bool
    """A draw brings more than one row."""

    @classmethod
    def of(cls, between: Integers, block_rows: int, window: int) -> "_Streams":
        """From the kernel between the rows, which has a diagonal of zeros."""
        rows = len(between)
        distance = np.abs(np.subtract.outer(np.arange(rows), np.arange(rows)))
        same = np.minimum(distance, rows - distance) < block_rows
        others = np.where(same, 0, between).sum(axis=1) / np.maximum((~same).sum(axis=1), 1)
        usual = np.rint((others[:, None] + others) / 2).astype(np.int64)
        apart = np.where(same, usual, between)
        resemblance = np.rint(others * rows).astype(np.int64)
        return cls(between, apart, resemblance, int(between.sum()), window, block_rows > 1)

    def statistics(self, stream: Stream) -> Values:
        """Shape (rows, 1, 1)."""
        window, rows = self.window, len(self.resemblance)
        step = max(1, _AT_ONCE // window)
        places = np.concatenate([np.full(window, _NONE), stream.positions])
        draws = np.concatenate([np.full(window, _NONE), stream.draws])
        near = np.concatenate([np.zeros(window, dtype=np.int64), self.resemblance[stream.positions]])
        following = np.zeros(window, dtype=np.int64)
        measured = np.empty(len(stream.positions))
        for first in range(0, len(measured), step):
            last = min(first + step, len(measured))
            part = slice(first, last + window)
            between = self._before(places[part], draws[part])
            pairs, after = _slide(np.concatenate([following, np.zeros(last - first, dtype=np.int64)]), between)
            following = after[-window:]
            sums = np.cumsum(near[part])
            resembling = sums[window:] - sums[: last - first]
            measured[first:last] = _discrepancy(window, rows, pairs, resembling, self.within)
        measured[: window - 1] = np.nan
        return measured[:, None, None]

    def _before(self, places: NDArray[np.intp], draws: NDArray[np.intp]) -> Integers:
        """The kernel of each row but the first `window` with those before it in its window, the nearest last."""
        earlier = sliding_window_view(places, self.window)[1:, :-1]
        flat = places[self.window :, None] * len(self.between) + np.maximum(earlier, 0)
        between = self.apart.take(flat)
        if self.blocks:
            together = sliding_window_view(draws, self.window)[1:, :-1] == draws[self.window :, None]
            between = np.where(together, self.between.take(flat), between)
        between[: self.window][earlier[: self.window] == _NONE] = 0
        return between


def _slide(following: Integers, between: Integers) -> tuple[Integers, Integers]:
    """The kernel's sum over the pairs of each window, and what `following` has become.

    `between`, shape (rows, window - 1), is each new row's kernel with those before it, the nearest last; `following`,
    shape (window + rows,), each row's sum with those after it as far as it was known before the new rows.
    """
    rows, window = len(between), between.shape[1] + 1
    # Row s meets the new row r at distance r - s: a diagonal of `between`, and a row of this view of it.
    padded = np.zeros((rows + 2 * window, window - 1), dtype=np.int64)
    padded[window : window + rows] = between[:, ::-1]
    high, wide = padded.strides
    met = as_strided(padded[1:], (window + rows, window - 1), (high, high + wide), writeable=False)
    after = following + met.sum(axis=1)
    pairs = int(following[:window].sum()) + np.cumsum(between.sum(axis=1) - after[:rows])
    return pairs, after


def _discrepancy(window: int, reference: int, pairs: Integers, near: Integers, within: int) -> Values:
    """MMD^2 from the kernel's sums over pairs in the window, with the reference, and within it."""
    mine = pairs * (2.0 / (window * (window - 1)) / ONE)
    cross = near * (2.0 / (window * reference) / ONE)
    return mine - cross + within / (reference * (reference - 1)) / ONE
