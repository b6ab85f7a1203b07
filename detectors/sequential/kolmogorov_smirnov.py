"""The Kolmogorov-Smirnov distance of sliding windows to a fixed reference, per feature."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from detectors.arrays import frozen, measurable_rows, some_at_a_time
from detectors.calibration import Progress
from detectors.errors import InvalidDocument, InvalidParameter, TooFewRows
from detectors.identity import reference_digest, refuse_other
from detectors.parameters import MAXIMUM_SEED, whole_number
from detectors.results import Scope
from detectors.sequential import silence
from detectors.sequential.ranks import MISSING, Cells, Integers, RankTable
from detectors.sequential.restoring import refuse_other_arrays, row_counts
from detectors.sequential.results import OnlineResult, OnlineResults, Values
from detectors.sequential.rows import single_row
from detectors.sequential.run_lengths import MAXIMUM_RUN_TIME, MAXIMUM_SIMULATED_ROWS, RunTime, Simulation, learn
from detectors.sequential.streams import MAXIMUM_BLOCK, Population, in_order

MINIMUM_WINDOW = 5
MAXIMUM_WINDOW = 10_000
MAXIMUM_WINDOWS = 8

_AT_ONCE = 2**15  # cells in windows: temporary arrays beyond the cache cost more than the arithmetic
_UNHEARD_OF = 2.5  # values in a window that a feature without any variation may take elsewhere


@dataclass(frozen=True, slots=True, eq=False)
class OnlineRankReference:
    """The reference's distribution functions, and the thresholds."""

    digest: str
    count: int
    table: RankTable
    thresholds: Values
    """Shape (windows, features)."""
    run_time: RunTime

    @property
    def features(self) -> int:
        """Columns of the reference."""
        return self.table.features


@dataclass(frozen=True, slots=True, eq=False)
class RecentCells:
    """The cells of each feature's most recent values."""

    reference_digest: str
    rows: int
    """Rows seen since the start."""
    missing: Integers
    """Shape (features,): values missing among them."""
    unmeasured: Integers
    """Shape (features,): how many of the latest rows had no value, at most `silent_after`; see `silence`."""
    recent: Cells
    """Shape (features, largest window), the newest last; -1 before the first. Missing values are left out."""

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        rows = np.array(self.rows, dtype=np.int64)
        return {"missing": self.missing, "recent": self.recent, "rows": rows, "unmeasured": self.unmeasured}

    def __eq__(self, other: object, /) -> bool:
        if not isinstance(other, RecentCells):
            return NotImplemented
        return (
            (self.reference_digest, self.rows) == (other.reference_digest, other.rows)
            and np.array_equal(self.missing, other.missing)
            and np.array_equal(self.unmeasured, other.unmeasured)
            and np.array_equal(self.recent, other.recent)
        )

    def __hash__(self) -> int:
        return hash((self.reference_digest, self.rows, self.recent.tobytes()))


@dataclass(frozen=True, slots=True)
class OnlineKolmogorovSmirnov:
    """Statistic: D between a feature's last values and the reference's, exact with ties, for each window size.

    A missing value leaves its feature's windows as they are (but see `silent_after`). Cost of a row: sorting every
    window of every feature.
    """

    name: ClassVar[str] = "online_kolmogorov_smirnov"
    scope: ClassVar[Scope] = Scope.FEATURE

    expected_run_time: int = 10_000
    """Rows from the start to a false alarm, on average, of all features and windows together."""
    windows: tuple[int, ...] = (20, 80)
    """Rows in each window, ascending: small ones see large changes sooner, large ones see small changes at all."""
    silent_after: int = silence.SILENT_AFTER
    """Rows without a value after which a feature is undecided; so it is before its first value."""
    block_rows: int = 1
    """Rows that stay together when streams are simulated from the reference: 1 for independent rows; for a reference
    in the order of time, more than the time that rows resemble one another."""
    simulated_rows: int = 2_000_000
    """What calibrating may cost."""
    seed: int = 0
    """Of the simulated streams."""

    def __post_init__(self) -> None:
        windows: object = self.windows  # JSON makes it a list
        if not isinstance(windows, tuple | list) or not 1 <= len(windows) <= MAXIMUM_WINDOWS:
            raise InvalidParameter("windows", f"windows are 1 to {MAXIMUM_WINDOWS} numbers")
        for window in windows:
            whole_number("windows", window, at_least=MINIMUM_WINDOW, at_most=MAXIMUM_WINDOW)
        if list(self.windows) != sorted(set(self.windows)):
            raise InvalidParameter("windows", "windows are different and ascending")
        object.__setattr__(self, "windows", tuple(self.windows))
        least = 2 * self.windows[-1]
        whole_number("expected_run_time", self.expected_run_time, at_least=least, at_most=MAXIMUM_RUN_TIME)
        silence.check_silent_after(self.silent_after)
        whole_number("block_rows", self.block_rows, at_least=1, at_most=MAXIMUM_BLOCK)
        whole_number("simulated_rows", self.simulated_rows, at_least=1, at_most=MAXIMUM_SIMULATED_ROWS)
        whole_number("seed", self.seed, at_least=0, at_most=MAXIMUM_SEED)

    def fit(self, rows: Any, /, *, progress: Progress | None = None) -> OnlineRankReference:
        """Sort the reference and simulate streams from it; raises `InvalidRows`, `TooFewRows`."""
        checked = measurable_rows(rows)
        if len(checked) < self.windows[-1]:
            raise TooFewRows(f"{len(checked)} reference rows, and at least as many as a window are needed")
        population = Population.of(len(checked), self.block_rows)
        table = RankTable.of(checked)
        cells = table.cells(in_order(checked, self.block_rows))
        nothing = self._nothing(table)
        least = np.repeat(_UNHEARD_OF / np.array(self.windows)[:, None], table.features, axis=1)
        thresholds, run_time = learn(
            Simulation.of(self.expected_run_time, self.simulated_rows, self.windows[-1]),
            population,
            lambda stream: _advance(table, self.windows, nothing, cells[:, stream.positions])[1],
            seed=self.seed,
            least=least,
            progress=progress,
        )
        return OnlineRankReference(reference_digest(self, checked), len(checked), table, thresholds, run_time)

    def start(self, reference: OnlineRankReference, /) -> RecentCells:
        missing = np.zeros(reference.features, dtype=np.int64)
        unmeasured = silence.from_the_start(reference.features, self.silent_after)
        return RecentCells(reference.digest, 0, frozen(missing), unmeasured, frozen(self._nothing(reference.table)))

    def update(
        self, reference: OnlineRankReference, state: RecentCells, row: Any, /
    ) -> tuple[RecentCells, OnlineResult]:
        after, results = self.run(reference, state, single_row(row))
        return after, results[0]

    def run(
        self, reference: OnlineRankReference, state: RecentCells, rows: Any, /
    ) -> tuple[RecentCells, OnlineResults]:
        refuse_other(reference.digest, state)
        cells = reference.table.cells(measurable_rows(rows, features=reference.features))
        recent, statistic = _advance(reference.table, self.windows, state.recent, cells)
        present = cells != MISSING
        missing = state.missing + (~present).sum(axis=1)
        unmeasured = silence.unmeasured_rows(state.unmeasured, present.T, self.silent_after)
        after = RecentCells(
            reference.digest,
            state.rows + cells.shape[1],
            frozen(missing),
            silence.latest(state.unmeasured, unmeasured),
            frozen(recent),
        )
        statistic = silence.hushed(statistic, unmeasured, self.silent_after)
        return after, OnlineResults(self.name, self.scope, state.rows + 1, statistic, reference.thresholds)

    def restore(self, reference: OnlineRankReference, arrays: Mapping[str, NDArray[Any]], /) -> RecentCells:
        features, longest = reference.features, self.windows[-1]
        refuse_other_arrays(
            arrays,
            {
                "missing": (np.int64, (features,)),
                "recent": (np.int32, (features, longest)),
                "rows": (np.int64, ()),
                "unmeasured": (np.int64, (features,)),
            },
        )
        rows, missing = row_counts(arrays)
        recent = arrays["recent"]
        reference.table.refuse_other_cells("recent", recent)
        remembered = (recent != MISSING).sum(axis=1)
        if not np.array_equal(remembered, np.minimum(rows - missing, longest)):
            raise InvalidDocument("recent: not as many values as there were rows to bring them")
        if (recent[np.arange(longest) >= longest - remembered[:, None]] == MISSING).any():
            raise InvalidDocument("recent: a value before the first one")
        unmeasured = silence.restored(arrays, rows, missing, self.silent_after)
        return RecentCells(reference.digest, rows, missing, unmeasured, frozen(recent.astype(np.int32)))

    def _nothing(self, table: RankTable) -> Cells:
        return np.full((table.features, self.windows[-1]), MISSING, dtype=np.int32)


def _advance(table: RankTable, windows: tuple[int, ...], recent: Cells, cells: Cells) -> tuple[Cells, Values]:
    """The most recent cells after these, and D after each row, shape (rows, windows, features)."""
    features, rows = cells.shape
    statistic = np.full((rows, len(windows), features), np.nan)
    if rows == 0:
        return recent.copy(), statistic
    full = (recent[:, 0] != MISSING) & (cells != MISSING).all(axis=1)
    if full.all():  # the usual case, and many times as fast for one row
        joined = np.concatenate([recent, cells], axis=1)
        for number, window in enumerate(windows):
            usable = joined[:, recent.shape[1] - window + 1 :]
            statistic[:, number] = _distances(table, slice(0, features), usable, window).T
        return joined[:, -recent.shape[1] :].copy(), statistic
    after = np.full_like(recent, MISSING)
    for feature in range(features):
        history, present = recent[feature][recent[feature] != MISSING], cells[feature] != MISSING
        joined = np.concatenate([history, cells[feature][present]])
        newest = len(history) + np.cumsum(present) - 1  # where each row's newest value is
        for number, window in enumerate(windows):
            first = max(window - 1, len(history) - 1)  # where the first window that is asked for ends
            measured = _distances(table, slice(feature, feature + 1), joined[None, first - window + 1 :], window)[0]
            there = newest >= first
            statistic[there, number, feature] = measured[newest[there] - first]
        kept = joined[-recent.shape[1] :]
        after[feature, len(after[feature]) - len(kept) :] = kept
    return after, statistic


def _distances(table: RankTable, features: slice, cells: Cells, window: int) -> Values:
    """D of every window of the cells, shape (these features, windows); exact integers until the last division."""
    count = max(cells.shape[1] - window + 1, 0)
    distances = np.empty((len(cells), count))
    if count == 0:
        return distances
    starts, counts = table.below_of(features)[:, :, None], np.maximum(table.counts[features], 1)[:, None, None]
    integer = np.int32 if window * int(counts.max()) < 2**31 else np.int64
    factor, ranks = integer(window), np.arange(window, dtype=integer)
    views = sliding_window_view(cells, window, axis=1)
    step = max(1, _AT_ONCE // window)
    for part in some_at_a_time(len(cells), window):
        lower = ranks * counts[part].astype(integer)
        upper = lower + counts[part].astype(integer)
        for first in range(0, count, step):
            ordered = np.sort(views[part, first : first + step], axis=2)
            # The reference is flat between its values, so the extremes lie at a window's value or just before one. Of
            # equals the last is the extreme one upwards and the first downwards, so that ties need no care.
            above = (upper - table.below.take(((ordered + 1) >> 1) + starts[part]) * factor).max(axis=2)
            below = (table.below.take((ordered >> 1) + starts[part]) * factor - lower).max(axis=2)
            distances[part, first : first + step] = np.maximum(above, below) / (window * counts[part, :, 0])
    distances[table.counts[features] == 0] = np.nan
    return distances
