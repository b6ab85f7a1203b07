"""`driftwarden calibrate`: what a plan would have done on the rows of a file, before a service is trusted to it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import yaml
from click import ClickException
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from service.domain.described_reference import described
from service.domain.fitted_plan import FittedPlan, block_size, calibrated_at, fit
from service.domain.matching import match
from service.domain.models import Finding, Reference
from service.domain.plan import Plan, check, default_plan, with_columns
from service.domain.row_times import disorder
from service.domain.schema import DeclaredColumn, Kind, Role, Schema
from service.domain.sent_columns import SentColumns
from service.domain.simulation import LONGEST_WAIT, Planted, Simulated, planted, simulate, windows_of
from service.http.formats import read_reference
from service.http.routes.models import read_plan
from service.usecases.fitted_models import Readiness, readiness

MEDIA_TYPES = {
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".arrows": "application/vnd.apache.arrow.stream",
    ".npy": "application/x-npy",
    ".json": "application/json",
}
MAXIMUM_FILE_BYTES = 2**30
PLANTED_AT = 5
"""Moments at which each change is planted: its delay is the median over them."""
_MONTH_SECONDS = 30.44 * 86_400
_ALARMS_SHOWN = 5
_COLUMNS = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be simulated."""

    data: Path
    plan: Path | None
    reference_share: float
    time_column: str | None
    shift: float
    """In standard deviations of each feature."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """What came of it."""

    plan: Plan
    schema: Schema
    readiness: Readiness
    reference_rows: int
    history_rows: int
    windows: Sequence[Simulated]
    months: float | None
    """That the history covers; None without times."""
    planted: Sequence[Planted]

    @property
    def alarms(self) -> int:
        """Runs of drifted windows."""
        return sum(window.begins_alarm for window in self.windows)

    def count(self, finding: Finding) -> int:
        """Windows of that finding."""
        return sum(window.decision.finding is finding for window in self.windows)


def simulated(asked: Asked) -> Simulation:
    """Raises `ClickException`, and `InvalidInput` with the place of what is wrong."""
    planned = _plan(asked.plan)
    sent = _sent(asked.data)
    _refuse_without_times(planned, sent, asked.time_column)
    timed = () if asked.time_column is None else (DeclaredColumn(asked.time_column, role=Role.TIME),)
    declared = (*timed, *_performance_columns(planned))
    cut = round(len(sent.rows) * asked.reference_share)
    if not 0 < cut < len(sent.rows):
        raise ClickException(f"{asked.data} has {len(sent.rows)} rows: too few for a reference and a history after it")
    made = described(_part(sent, slice(0, cut)), declared)
    plan = default_plan(made.schema) if planned is None else with_columns(planned, made.schema)
    history = match(
        _part(sent, slice(cut, None)),
        made.schema,
        plan.schema_mismatch,
        refuses_missing=plan.missing_values == "refuse",
    )
    later = history.times
    if later is not None and (row := disorder(later)) is not None:
        raise ClickException(f"row {row} after the reference is earlier than the row before: sort the rows by time")
    windows = list(windows_of(plan, history.rows, later))
    if not windows:
        raise ClickException(
            f"the {len(history.rows)} rows after the reference fill no window: give more rows, smaller windows, or a "
            "smaller --reference-share"
        )
    with Progress(*_COLUMNS, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("fitting the plan", total=1)
        first = fit(plan, made.reference)
        progress.advance(task)
        fitted = _fitted_for(first, plan, made.reference)
        done = list(progress.track(simulate(plan, fitted, windows), len(windows), description="judging the history"))
        shifts = _shifts(made.reference, made.schema, asked.shift)
        starts = _calm_starts(done)
        found: list[Planted] = []
        if starts:
            changes = planted(plan, fitted, windows, shifts, starts)
            total = int(np.count_nonzero(shifts))
            found = list(progress.track(changes, total, description="planting changes"))
    months = None if later is None else float(later.max() - later.min()) / 1000 / _MONTH_SECONDS
    return Simulation(plan, made.schema, readiness(first), cut, len(history.rows), done, months, found)


def _plan(path: Path | None) -> Plan | None:
    if path is None:
        return None
    try:
        document = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise ClickException(f"{path} cannot be read as YAML or JSON: {' '.join(str(error).split())[:300]}") from error
    plan = read_plan(json.dumps(document, default=str).encode()).to_domain()
    check(plan)
    if plan.window.keep == "summaries":
        raise ClickException("the plan keeps summaries; simulate it with window.keep: rows, which finds the same")
    return plan


def _performance_columns(plan: Plan | None) -> tuple[DeclaredColumn, ...]:
    """A file says of no column what it is for; the plan does of those that it names."""
    if plan is None or plan.performance is None:
        return ()
    said = {Role.PREDICTION: plan.performance.prediction, Role.LABEL: plan.performance.label}
    if unnamed := [f"performance.{role.value}" for role, name in said.items() if name is None]:
        raise ClickException(f"a file does not say what its columns are for: name them in {' and '.join(unnamed)}")
    return tuple(DeclaredColumn(name, role=role) for role, name in said.items() if name is not None)


def _sent(path: Path) -> SentColumns:
    media_type = MEDIA_TYPES.get(path.suffix.lower())
    if media_type is None:
        raise ClickException(f"{path} must end with {', '.join(MEDIA_TYPES)}: that says which format it has")
    try:
        if path.stat().st_size > MAXIMUM_FILE_BYTES:
            raise ClickException(f"{path} is larger than {MAXIMUM_FILE_BYTES // 2**30} GiB: give a part of it")
        return read_reference(media_type, path.read_bytes(), most_bytes=MAXIMUM_FILE_BYTES).columns
    except OSError as error:
        raise ClickException(f"{path} cannot be read: {error.strerror}") from error


def _refuse_without_times(plan: Plan | None, sent: SentColumns, column: str | None) -> None:
    if column is None and plan is not None and (needing := _needing_times(plan)):
        raise ClickException(f"the plan goes by the times of rows ({', '.join(needing)}): give the --time-column")
    if column is not None and column not in (sent.names or ()):
        raise ClickException(f"--time-column: there is no column {column!r}")


def _needing_times(plan: Plan) -> list[str]:
    budget = plan.decision.false_alarms
    asked = {
        "window.every_seconds": plan.window.every_seconds is not None,
        "decision.season": plan.decision.season is not None,
        "decision.false_alarms.per": budget is not None and budget.per_seconds is not None,
    }
    return [place for place, needs in asked.items() if needs]


def _part(sent: SentColumns, rows: slice) -> SentColumns:
    texts = {place: texts[rows] for place, texts in sent.texts.items()}
    first = rows.start or 0
    return replace(sent, rows=sent.rows[rows], texts=texts, place=lambda row, column: sent.place(row + first, column))


def _fitted_for(first: FittedPlan, plan: Plan, reference: Reference) -> Any:
    @cache
    def of_blocks(rows: int) -> FittedPlan:
        return first if rows == first.block_rows else calibrated_at(first, rows, reference)

    def fitted_for(tested_rows: int) -> FittedPlan:
        if not plan.window.varies or tested_rows < plan.window.minimum_rows:
            return first
        return of_blocks(block_size(plan.window, tested_rows, first.reference_rows, first.blocks_needed))

    return fitted_for


def _shifts(reference: Reference, schema: Schema, deviations: float) -> NDArray[np.float64]:
    """What is added to each feature; nothing where a number is no size, or never moves."""
    sizes = {Kind.NUMERIC, Kind.INTEGER}
    moved = {each.name for each in schema.columns if each.kind in sizes and each.role is not Role.LABEL}
    spread = np.nan_to_num(np.nanstd(reference.rows, axis=0))
    return np.array([deviations * spread[i] if name in moved else 0.0 for i, name in enumerate(reference.features)])


def _calm_starts(windows: Sequence[Simulated]) -> list[int]:
    """Evenly spread over the history, at windows that are not found drifted as they are."""
    calm = [place for place, each in enumerate(windows) if each.decision.finding is Finding.STABLE]
    picked = np.linspace(0, len(calm) - 1, min(PLANTED_AT, len(calm))).round().astype(int) if calm else ()
    return sorted({calm[int(place)] for place in picked})


def in_json(found: Simulation) -> str:
    """For other programs."""
    document = {
        "reference_rows": found.reference_rows,
        "history_rows": found.history_rows,
        "calibrated": found.readiness.calibrated,
        "windows": {finding.value: found.count(finding) for finding in Finding},
        "alarms": found.alarms,
        "months": found.months,
        "alarms_per_month": found.alarms / found.months if found.months else None,
        "alarms_per_1000_windows": 1000 * found.alarms / len(found.windows),
        "retrainings": sum(window.acts for window in found.windows),
        "planted": [{"feature": each.feature, "windows_until_found": list(each.waits)} for each in found.planted],
    }
    return json.dumps(document, indent=2, allow_nan=False)


def tell(found: Simulation, asked: Asked, console: Console) -> None:
    """In words and a table."""
    for line in _lines(found, asked):
        console.print(line, highlight=False)
    if found.planted:
        console.print(_delays(found, asked))


def _lines(found: Simulation, asked: Asked) -> Iterator[str]:
    ready = found.readiness
    blocks = f"{ready.blocks} blocks of {ready.window_rows} rows"
    yield f"Reference: the first {found.reference_rows:,} rows of {asked.data}, {blocks}."
    if ready.seasons is not None:
        lacking = f"; it lacks {', '.join(ready.seasons.lacking)}" if ready.seasons.lacking else ""
        yield f"  Each row is compared by its {ready.seasons.plan.words}{lacking}."
    if ready.calibrated and ready.false_alarm_rate is not None and ready.false_alarm_interval is not None:
        low, high = ready.false_alarm_interval
        yield f"  Of its own blocks {ready.false_alarm_rate:.1%} would have alarmed (95 %: {low:.1%} to {high:.1%})."
    if not ready.calibrated:
        yield (
            f"  [yellow]Not calibrated: {ready.reference_rows_needed:,} rows would be enough. Windows are judged as if "
            "rows were independent, which real ones are not.[/]"
        )
    counts = ", ".join(f"{found.count(finding)} {finding.value}" for finding in Finding)
    yield f"History: the {found.history_rows:,} rows after it, {len(found.windows)} windows: {counts}."
    decisions = [each.decision for each in found.windows]
    undecided = [(number, each) for number, each in enumerate(decisions, start=1) if each.finding is Finding.UNDECIDED]
    for number, each in undecided[:1]:
        yield f"  window {number} is UNDECIDED: {each.reason}"
    often = f"{1000 * found.alarms / len(found.windows):.1f} in 1000 windows"
    if found.months:
        often = f"{found.alarms / found.months:.1f} a month"
    yield f"Alarms: {found.alarms} ({often}; windows that drift in a row are one alarm)."
    yield f"Retrainings that would have started: {sum(window.acts for window in found.windows)}."
    begun = [(number, each) for number, each in enumerate(found.windows, start=1) if each.begins_alarm]
    for number, alarm in begun[:_ALARMS_SHOWN]:
        features = ", ".join(alarm.decision.drifted_features[:3]) or "all features together"
        since = f", {alarm.window.started_at:%Y-%m-%d %H:%M}" if found.months else ""
        yield f"  window {number}{since}: {features}"


def _delays(found: Simulation, asked: Asked) -> Table:
    table = Table(
        "feature", "found", "windows until then (median)", title=_title(asked), title_justify="left", box=None
    )
    for each in found.planted:
        waits = [wait for wait in each.waits if wait is not None]
        table.add_row(each.feature, f"{len(waits)} of {len(each.waits)}", f"{median(waits):g}" if waits else "-")
    return table


def _title(asked: Asked) -> str:
    what = f"A shift of {asked.shift:g} standard deviations, planted into one feature at a time"
    return f"{what} (within {LONGEST_WAIT} windows)"


def draw(found: Simulation, path: Path) -> None:
    """The history's p-values, what would have alarmed, and the delays; the format follows from the file's ending."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise ClickException("plots need matplotlib: pip install 'driftwarden[plot]'") from error
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    top, bottom = figure.subplots(2, 1, height_ratios=[3, 2])
    numbers: list[Any] = [each.window.started_at if found.months else i + 1 for i, each in enumerate(found.windows)]
    values = [np.nan if each.decision.p_value is None else each.decision.p_value for each in found.windows]
    top.plot(numbers, values, color="0.4", linewidth=1, marker=".", label="p-value of the window")
    drifted = [place for place, each in enumerate(found.windows) if each.decision.finding is Finding.DRIFT]
    top.scatter([numbers[i] for i in drifted], [values[i] for i in drifted], color="crimson", zorder=3, label="DRIFT")
    top.set_yscale("log")
    top.set_title("What the plan would have said of the history", loc="left")
    top.legend(fontsize="small", frameon=False)
    waits = [[LONGEST_WAIT if wait is None else wait for wait in each.waits] for each in found.planted]
    if waits:
        bottom.boxplot(waits, tick_labels=[each.feature for each in found.planted])
        bottom.tick_params(axis="x", rotation=45)
    bottom.set_ylabel("windows until found")
    for axes in (top, bottom):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
