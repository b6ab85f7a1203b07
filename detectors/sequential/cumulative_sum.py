"""Cumulative sums of ranks, per feature: small lasting shifts, in memory that does not depend on any window.

E. S. Page, "Continuous inspection schemes", Biometrika 41 (1954), 100, on rank scores instead of values, so that
neither outliers nor the shape of a distribution matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import frozen, measurable_rows
from detectors.calibration import Progress
from detectors.errors import InvalidDocument
from detectors.identity import reference_digest, refuse_other
from detectors.parameters import MAXIMUM_SEED, positive_number, whole_number
from detectors.results import Scope
from detectors.sequential import silence
from detectors.sequential.ranks import MISSING, Cells, Integers, RankTable
from detectors.sequential.restoring import refuse_other_arrays, row_counts
from detectors.sequential.results import OnlineResult, OnlineResults, Values
from detectors.sequential.rows import single_row
from detectors.sequential.run_lengths import MAXIMUM_RUN_TIME, MAXIMUM_SIMULATED_ROWS, RunTime, Simulation, learn
from detectors.sequential.streams import MAXIMUM_BLOCK, Population, in_order

MINIMUM_RUN_TIME = 50

_UNHEARD_OF = 4.0  # deviations a feature without any variation may move: two or three novel values
_WARM_UP = 50  # rows until the sums have forgotten that they started at nothing
_DIRECTIONS = 2  # upwards, downwards
_HIGHEST = 2**62  # far above every threshold; here sums stay, and one more step still fits an integer


@dataclass(frozen=True, slots=True, eq=False)
class OnlineScoreReference:
    """The reference's ranks, what a deviation of them is, and the thresholds."""

    digest: str
    count: int
    table: RankTable
    deviations: Values
    """Shape (features,): of the rank scores; NaN for a feature without values."""
    allowances: Integers
    """Shape (features,): what every row takes off the sums, in rank scores."""
    thresholds: Values
    """Shape (2, features), in deviations."""
    run_time: RunTime

    @property
    def features(self) -> int:
        """Columns of the reference."""
        return self.table.features


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """The cumulative sums of every feature."""

    reference_digest: str
    rows: int
    """Rows seen since the start."""
    missing: Integers
    """Shape (features,): values missing among them."""
    unmeasured: Integers
    """Shape (features,): how many of the latest rows had no value, at most `silent_after`; see `silence`."""
    sums: Integers
    """Shape (2, features): upwards and downwards, in rank scores, never negative."""

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        rows = np.array(self.rows, dtype=np.int64)
        return {"missing": self.missing, "rows": rows, "sums": self.sums, "unmeasured": self.unmeasured}

    def __eq__(self, other: object, /) -> bool:
        if not isinstance(other, Sums):
            return NotImplemented
        return (
            (self.reference_digest, self.rows) == (other.reference_digest, other.rows)
            and np.array_equal(self.missing, other.missing)
            and np.array_equal(self.unmeasured, other.unmeasured)
            and np.array_equal(self.sums, other.sums)
        )

    def __hash__(self) -> int:
        return hash((self.reference_digest, self.rows, self.sums.tobytes()))


@dataclass(frozen=True, slots=True)
class OnlineCumulativeSum:
    """Statistic: sums of rank scores beyond an allowance, upwards and downwards, in deviations of these scores.

    A value's score is the reference values below it less those above it. Sums are of integers: nothing drifts, however
    long the stream. A missing value leaves its feature's sums as they are (but see `silent_after`). Changes that leave
    a feature's median rank where it was (of its spread, say) are not seen.
    """

    name: ClassVar[str] = "online_cumulative_sum"
    scope: ClassVar[Scope] = Scope.FEATURE

    expected_run_time: int = 10_000
    """Rows from the start to a false alarm, on average, of all features and directions together."""
    allowance: float = 0.25
    """Deviations of the rank scores taken off in every row: half the shift that is to be detected soonest."""
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
        expected, most = self.expected_run_time, MAXIMUM_RUN_TIME
        whole_number("expected_run_time", expected, at_least=MINIMUM_RUN_TIME, at_most=most)
        object.__setattr__(self, "allowance", positive_number("allowance", self.allowance))
        silence.check_silent_after(self.silent_after)
        whole_number("block_rows", self.block_rows, at_least=1, at_most=MAXIMUM_BLOCK)
        whole_number("simulated_rows", self.simulated_rows, at_least=1, at_most=MAXIMUM_SIMULATED_ROWS)
        whole_number("seed", self.seed, at_least=0, at_most=MAXIMUM_SEED)

    def fit(self, rows: Any, /, *, progress: Progress | None = None) -> OnlineScoreReference:
        """Sort the reference and simulate streams from it; raises `InvalidRows`, `TooFewRows`."""
        checked = measurable_rows(rows)
        population = Population.of(len(checked), self.block_rows)
        table = RankTable.of(checked)
        scores = _scores(table, table.cells(in_order(checked, self.block_rows)))
        deviations = _deviations(table, scores)
        # Beyond the largest score nothing is left of a row, so more allowance than that changes nothing.
        allowances = np.rint(np.minimum(self.allowance * np.nan_to_num(deviations), table.counts)).astype(np.int64)
        present = ~np.isnan(in_order(checked, self.block_rows).T)
        nothing = np.zeros((_DIRECTIONS, table.features), dtype=np.int64)

        def statistics(stream: Any) -> Values:
            steps = _steps(scores[:, stream.positions], present[:, stream.positions], allowances)
            return _advance(nothing, steps) / deviations

        thresholds, run_time = learn(
            Simulation.of(self.expected_run_time, self.simulated_rows, _WARM_UP),
            population,
            statistics,
            seed=self.seed,
            least=np.full((_DIRECTIONS, table.features), _UNHEARD_OF),
            progress=progress,
        )
        digest = reference_digest(self, checked)
        return OnlineScoreReference(
            digest, len(checked), table, frozen(deviations), frozen(allowances), thresholds, run_time
        )

    def start(self, reference: OnlineScoreReference, /) -> Sums:
        missing = np.zeros(reference.features, dtype=np.int64)
        unmeasured = silence.from_the_start(reference.features, self.silent_after)
        sums = np.zeros((_DIRECTIONS, len(missing)), dtype=np.int64)
        return Sums(reference.digest, 0, frozen(missing), unmeasured, frozen(sums))

    def update(self, reference: OnlineScoreReference, state: Sums, row: Any, /) -> tuple[Sums, OnlineResult]:
        after, results = self.run(reference, state, single_row(row))
        return after, results[0]

    def run(self, reference: OnlineScoreReference, state: Sums, rows: Any, /) -> tuple[Sums, OnlineResults]:
        refuse_other(reference.digest, state)
        cells = reference.table.cells(measurable_rows(rows, features=reference.features))
        present = cells != MISSING
        sums = _advance(state.sums, _steps(_scores(reference.table, cells), present, reference.allowances))
        missing = state.missing + (~present).sum(axis=1)
        last = sums[-1].copy() if len(sums) else state.sums
        unmeasured = silence.unmeasured_rows(state.unmeasured, present.T, self.silent_after)
        after = Sums(
            reference.digest,
            state.rows + len(sums),
            frozen(missing),
            silence.latest(state.unmeasured, unmeasured),
            frozen(last),
        )
        statistic = silence.hushed(sums / reference.deviations, unmeasured, self.silent_after)
        return after, OnlineResults(self.name, self.scope, state.rows + 1, statistic, reference.thresholds)

    def restore(self, reference: OnlineScoreReference, arrays: Mapping[str, NDArray[Any]], /) -> Sums:
        features = reference.features
        refuse_other_arrays(
            arrays,
            {
                "missing": (np.int64, (features,)),
                "rows": (np.int64, ()),
                "sums": (np.int64, (_DIRECTIONS, features)),
                "unmeasured": (np.int64, (features,)),
            },
        )
        rows, missing = row_counts(arrays)
        sums = arrays["sums"]
        # Divided instead of multiplied, because rows times counts may be beyond what an integer holds.
        steps = np.maximum(reference.table.counts - reference.allowances, 1)
        if not ((sums >= 0) & (sums <= _HIGHEST) & (-(-sums // steps) <= rows - missing)).all():
            raise InvalidDocument("sums: more than so many rows can add up to, or less than nothing")
        unmeasured = silence.restored(arrays, rows, missing, self.silent_after)
        return Sums(reference.digest, rows, missing, unmeasured, frozen(sums.astype(np.int64)))


def _scores(table: RankTable, cells: Cells) -> Integers:
    """Reference values below each cell less those above it, shape (features, rows); 0 for a missing value."""
    starts = table.below_of(slice(None))
    known = np.maximum(cells, 0)
    below, not_above = table.below[(known >> 1) + starts], table.below[((known + 1) >> 1) + starts]
    scores: Integers = below.astype(np.int64) + not_above - table.counts[:, None]
    scores[cells == MISSING] = 0
    return scores


def _deviations(table: RankTable, scores: Integers) -> Values:
    """Of the reference's scores, whose mean is 0; of evenly spread ones for a feature that is constant."""
    with np.errstate(invalid="ignore"):  # no values: not a number
        squares = (scores.astype(np.float64) ** 2).sum(axis=1) / table.counts
        deviations: Values = np.where(squares == 0, table.counts / np.sqrt(3), np.sqrt(squares))
    return deviations


def _steps(scores: Integers, present: NDArray[np.bool_], allowances: Integers) -> Integers:
    """What each row adds to the sums, shape (rows, 2, features)."""
    both = np.stack([scores, -scores]) - allowances[:, None]
    return np.ascontiguousarray(np.moveaxis(np.where(present, both, 0), 2, 0))


def _advance(sums: Integers, steps: Integers) -> Integers:
    """The sums after each step, shape (rows, 2, features): s <- max(0, s + step), and never above `_HIGHEST`."""
    if not len(steps):
        return steps
    if int(sums.max(initial=0)) + len(steps) * int(steps.max(initial=0)) > _HIGHEST:
        return _advance_to_the_top(sums, steps)
    # Without the maximum it were a plain sum; each time that reaches a new low, zero is where it is.
    plain = sums + np.cumsum(steps, axis=0)
    low = np.minimum(np.minimum.accumulate(plain, axis=0), 0)
    return plain - low


def _advance_to_the_top(sums: Integers, steps: Integers) -> Integers:
    """The same one by one, where a sum may reach the top."""
    after = np.empty_like(steps)
    for row, step in enumerate(steps):
        sums = np.clip(sums + step, 0, _HIGHEST)
        after[row] = sums
    return after
