"""How often decisions wake somebody for nothing, and how soon they see a change: `python -m benchmarks.decisions`.

`--quick`: fewer streams, without alibi-detect. `--plot FOLDER`: the comparison as pictures. `--only KIND`: of one kind.
alibi-detect's KSDrift and MMDDrift judge the same windows in their own environment, which `make alibi` makes; the real
series and online-fdr come with `uv sync --inexact --group benchmarks`.

Ours is the service's own way: `fit`, `spend`, `decide`. A table comes first, then one JSON object a figure.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from scipy.special import betaincinv
from scipy.stats import binom, chi2

from benchmarks import real_data, streams
from benchmarks.against_alibi import RESULTS, Side, described, environment
from benchmarks.decision_plots import plot
from benchmarks.procedures import PROCEDURES, Seen, Values
from detectors.calibration import block_null, side_by_side
from service.domain.budget import settle, spend
from service.domain.decision import decide
from service.domain.fitted_plan import fit
from service.domain.models import BudgetState, Finding, Reference
from service.domain.plan import DecisionPlan, DetectorPlan, FalseAlarmBudget, Plan, WindowPlan, check

Rows = NDArray[np.float64]
Alarms = NDArray[np.bool_]

OURS = "sums of e-values (ours)"
BUDGET = 1000
"""Windows for one false alarm."""
FOUND_WITHIN = 20
"""Windows after a change in which it has to be found."""
DETECTORS = (
    DetectorPlan("kolmogorov_smirnov", minimum_effect=0.05),
    DetectorPlan("fast_maximum_mean_discrepancy"),
)


@dataclass(frozen=True, slots=True)
class Record:
    """What was seen and said of one stream."""

    seen: Seen
    alarms: Alarms
    """Of ours, under the budget."""
    plain: Alarms
    """Of ours, each window by itself at 5 %."""
    once_in: Values
    """So rarely do calm windows gather as much evidence."""

    def by(self, procedure: str) -> Alarms:
        return self.alarms if procedure == OURS else PROCEDURES[procedure](self.seen, BUDGET)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number with its 95 % confidence interval."""

    name: str
    value: float | None
    interval: tuple[float | None, float | None]
    unit: str
    against: str
    target: str = ""
    met: bool | None = None

    def as_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "value": None if self.value is None else _finite(self.value),
            "interval": self.interval,
            "unit": self.unit,
            "against": self.against,
            "target": self.target,
            "met": None if self.met is None else bool(self.met),
        }


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many streams of each kind."""

    independent: int
    autoregressive: int
    changed: int


FULL = Sizes(independent=20, autoregressive=30, changed=60)
QUICK = Sizes(independent=2, autoregressive=4, changed=20)


def judged(reference: Rows, windows: Iterable[Rows], window_rows: int = streams.WINDOW_ROWS) -> Record:
    """One stream through the service's own rules."""
    budget = FalseAlarmBudget(1, per_windows=BUDGET)
    plan = Plan(WindowPlan(window_rows), DETECTORS, DecisionPlan(false_alarms=budget))
    check(plan)
    names = tuple(f"feature_{index}" for index in range(reference.shape[1]))
    fitted = fit(plan, Reference(names, reference))
    assert fitted.calibration is not None
    state, alarms, plain, once_in, statistics = BudgetState(), [], [], [], []
    for rows in windows:
        results = fitted.measure(rows)
        spending = spend(fitted, results, state, 1.0)
        assert spending is not None
        assert spending.once_in_windows is not None
        finding = decide(fitted, results, spending).finding
        state = settle(spending, finding)
        alarms.append(finding is Finding.DRIFT)
        plain.append(decide(fitted, results).finding is Finding.DRIFT)
        once_in.append(spending.once_in_windows)
        statistics.append(np.concatenate([result.statistic for result in results]))
    blocks = side_by_side([block_null(each.detector, reference, window_rows) for each in fitted.detectors])
    seen = Seen(blocks, np.stack(statistics))
    return Record(seen, np.array(alarms), np.array(plain), np.array(once_in))


def judged_stream(kind: streams.Kind, seed: int) -> Record:
    return judged(*kind.reference_and_windows(seed))


def records(kind: streams.Kind, count: int, processes: int, progress: Progress) -> list[Record]:
    with ProcessPoolExecutor(processes) as pool:
        judging = pool.map(partial(judged_stream, kind), range(count))
        return list(progress.track(judging, total=count, description=kind.name))


def delays(found: Sequence[Record], kind: streams.Kind, procedure: str) -> Values:
    """Windows from the change to the first alarm, 1 for the first; infinite where there is none in time."""
    waited = []
    for record in found:
        after = np.flatnonzero(record.by(procedure)[kind.calm :])
        waited.append(after[0] + 1 if after.size else np.inf)
    return np.array(waited)


def share(hits: int, of: int) -> tuple[float, float]:
    """95 % confidence interval of a share (Clopper-Pearson)."""
    lower = float(betaincinv(hits, of - hits + 1, 0.025)) if hits else 0.0
    return lower, float(betaincinv(hits + 1, of - hits, 0.975)) if hits < of else 1.0


def count(events: int, exposure: float) -> tuple[float, float]:
    """Of a rate (Garwood), as if alarms came one by one: those in a row make it too narrow."""
    lower = float(chi2.ppf(0.025, 2 * events)) / 2 if events else 0.0
    return lower / exposure, float(chi2.ppf(0.975, 2 * events + 2)) / 2 / exposure


def median_interval(numbers: Values) -> tuple[float | None, float | None]:
    """Of a median, by order statistics; None where that is infinite."""
    ordered = np.sort(numbers)
    low = max(int(binom.ppf(0.025, len(ordered), 0.5)) - 1, 0)
    return _finite(ordered[low]), _finite(ordered[len(ordered) - 1 - low])


def _finite(number: float) -> float | None:
    return float(round(number, 6)) if np.isfinite(number) else None


def null_figures(independent: Sequence[Record], autoregressive: Sequence[Record]) -> Iterator[Figure]:
    alarming = sum(bool(record.alarms.any()) for record in independent)
    interval = share(alarming, len(independent))
    # One alarm in as many windows as a stream has: by chance 1 - 1/e of the streams have one or more.
    most = 1 - np.exp(-independent[0].alarms.size / BUDGET)
    against = f"{len(independent)} streams of 1000 windows x 500 rows x 100 features, reference of 50 windows"
    value = alarming / len(independent)
    yield Figure("iid_streams_alarming", value, interval, "of streams", against, f"at most {most:.2f}", value <= most)
    yield _rate("iid_window_alarm_rate", independent, against, 1)
    against = f"{len(autoregressive)} streams of 1000 windows x 500 rows x 20 features, AR(1) 0.9"
    yield _rate("ar1_window_alarm_rate", autoregressive, against, 2)


def _rate(name: str, found: Sequence[Record], against: str, budgets: int) -> Figure:
    alarms = int(sum(record.alarms.sum() for record in found))
    windows = sum(record.alarms.size for record in found)
    rate, most = alarms / windows, budgets / BUDGET
    return Figure(name, rate, count(alarms, windows), "of windows", against, f"at most {most:g}", rate <= most)


def change_figures(found: dict[str, Sequence[Record]]) -> Iterator[Figure]:
    waited = delays(found["shift"], streams.SHIFT, OURS)
    against = f"{len(waited)} streams, 0.5 deviations in one of 20 features"
    hits = int((waited <= FOUND_WITHIN).sum())
    yield Figure(
        "shift_found",
        hits / len(waited),
        share(hits, len(waited)),
        "of streams",
        against,
        "at least 0.95",
        hits >= 0.95 * len(waited),
    )
    median = float(np.median(waited))
    yield Figure(
        "shift_delay_windows", median, median_interval(waited), "windows, median", against, "at most 2", median <= 2
    )
    waited = delays(found["covariance"], streams.COVARIANCE, OURS)
    hits = int((waited <= FOUND_WITHIN).sum())
    against = f"{len(waited)} streams of 10 features, correlated 0.6 in pairs within {FOUND_WITHIN} windows"
    yield Figure(
        "covariance_found",
        hits / len(waited),
        share(hits, len(waited)),
        "of streams",
        against,
        "at least 0.9",
        hits >= 0.9 * len(waited),
    )
    at = delays(found["slow drift"], streams.SLOW, OURS) * 0.01
    against = f"{len(at)} streams, 0.01 deviations a window in one of 20 features"
    median = float(np.median(at))
    yield Figure(
        "slow_drift_found_at_sd", median, median_interval(at), "deviations, median", against, "below 0.2", median < 0.2
    )
    hits = int((at < 0.2).sum())
    yield Figure("slow_drift_found_before_0_2", hits / len(at), share(hits, len(at)), "of streams", against)


def real_figures(found: dict[str, Record]) -> Iterator[Figure]:
    for name, record in found.items():
        windows = record.plain.size
        against = f"{windows} held-out windows of 500 rows, {len(record.seen.blocks)} in the reference"
        alarms = int(record.plain.sum())
        rate = alarms / windows
        yield Figure(
            f"real_window_alarm_rate_{name}",
            rate,
            share(alarms, windows),
            "of windows, without the budget",
            against,
            "at most 0.05",
            rate <= 0.05,
        )
        alarms = int(record.alarms.sum())
        yield Figure(
            f"real_budget_alarms_{name}",
            alarms,
            count(alarms, 1),
            "windows in the whole period",
            against,
            "at most 1",
            alarms <= 1,
        )


def real_shift_figures() -> Iterator[Figure]:
    """What the budget costs there: one feature after the other moves by a whole deviation."""
    calm, changed = 10, 30
    for name, series in real_data.SERIES.items():
        reference, held_out = real_data.split(series(), streams.WINDOW_ROWS)
        step = reference.std(axis=0)
        waited = []
        for feature in range(reference.shape[1]):
            shift = step * (np.arange(len(step)) == feature)
            moved = [rows + shift * (number >= calm) for number, rows in enumerate(held_out[: calm + changed])]
            after = np.flatnonzero(judged(reference, moved).alarms[calm:])
            waited.append(after[0] + 1 if after.size else np.inf)
        numbers = np.array(waited)
        against = f"{len(step)} features in turn, each by one deviation, from held-out window {calm + 1} on"
        median, found = float(np.median(numbers)), int(np.isfinite(numbers).sum())
        yield Figure(f"real_shift_delay_windows_{name}", median, median_interval(numbers), "windows, median", against)
        yield Figure(
            f"real_shift_found_{name}",
            found / len(step),
            share(found, len(step)),
            f"of features, within {changed} windows",
            against,
        )


def real_records() -> dict[str, Record]:
    found = {}
    for name, series in real_data.SERIES.items():
        reference, held_out = real_data.split(series(), streams.WINDOW_ROWS)
        found[name] = judged(reference, held_out)
    return found


def alibi_figures(progress: Progress) -> tuple[list[Figure], dict[str, object]]:
    """The same windows, the first ones of some streams, by alibi-detect at 5 %."""
    figures = []
    with Side(Path(sys.executable), "side_ours") as ours, Side(environment(), "side_alibi") as theirs:
        machine = described(ours.ask({"do": "describe"}), theirs.ask({"do": "describe"}))

        def alarms(way: str, reference: Rows, windows: Iterable[Rows]) -> Alarms:
            last = {"permutations": 100} if way == "maximum_mean_discrepancy" else {}
            # MMDDrift's kernel of all reference rows would not fit: it gets the newest thousand.
            theirs.fit(way, reference[-1000:] if last else reference, **last)
            return np.array([bool(theirs.test(way, rows)[1]["is_drift"]) for rows in windows])

        for way, most in (("kolmogorov_smirnov", 60), ("maximum_mean_discrepancy", 20)):
            short = {"kolmogorov_smirnov": "ksdrift", "maximum_mean_discrepancy": "mmddrift"}[way]
            for kind in (streams.INDEPENDENT, streams.AUTOREGRESSIVE):
                kept = replace(kind, calm=most)
                found = [
                    alarms(way, *kept.reference_and_windows(seed))
                    for seed in progress.track(range(3), description=f"{short}, {kind.name}")
                ]
                total, windows = int(sum(each.sum() for each in found)), 3 * most
                against = f"{short} at 5 %, 3 streams, the first {most} windows"
                name = f"{short}_{kind.name}_window_alarm_rate"
                figures.append(Figure(name, total / windows, share(total, windows), "of windows", against))
            for name, series in real_data.SERIES.items():
                reference, held_out = real_data.split(series(), streams.WINDOW_ROWS)
                found_real = alarms(way, reference, held_out[:most])
                total = int(found_real.sum())
                against = f"{short} at 5 %, the first {found_real.size} held-out windows"
                interval = share(total, found_real.size)
                rate = total / found_real.size
                figures.append(Figure(f"{short}_real_{name}_window_alarm_rate", rate, interval, "of windows", against))
            for kind in (streams.SHIFT, streams.COVARIANCE):
                kept = replace(kind, calm=0, changed=1)
                hits = sum(
                    bool(alarms(way, *kept.reference_and_windows(seed)).all())
                    for seed in progress.track(range(10), description=f"{short}, {kind.name}")
                )
                against = f"{short} at 5 %, 10 streams, in the first window"
                figures.append(Figure(f"{short}_{kind.name}_found", hits / 10, share(hits, 10), "of streams", against))
    return figures, machine


def comparison(found: dict[str, Sequence[Record]], real: dict[str, Record]) -> list[dict[str, object]]:
    """All procedures on the same streams."""
    rows = []
    for name in (*PROCEDURES, OURS):
        row: dict[str, object] = {"procedure": name}
        for kind in ("independent", "autoregressive"):
            alarms = [record.by(name) for record in found[kind]]
            row[f"{kind}_per_1000"] = round(1000 * float(np.mean([each.mean() for each in alarms])), 2)
            row[f"{kind}_streams"] = round(float(np.mean([each.any() for each in alarms])), 3)
        for series, record in real.items():
            row[series] = int(record.by(name).sum())
        for kind in (streams.SHIFT, streams.COVARIANCE, streams.SLOW):
            waited = delays(found[kind.name], kind, name)
            row[f"{kind.name}_found"] = round(float((waited <= FOUND_WITHIN).mean()), 3)
            row[f"{kind.name}_delay"] = _finite(np.median(waited))
        rows.append(row)
    return rows


def show(figures: Sequence[Figure], compared: Sequence[dict[str, object]]) -> None:
    console = Console(width=170)
    table = Table("figure", "value", "95 % interval", "unit", "target", "", title=f"budget: one in {BUDGET} windows")
    for figure in figures:
        verdict = {None: "", True: "met", False: "[bold]not met[/]"}[figure.met]
        low, high = (("never" if each is None else f"{each:.4g}") for each in figure.interval)
        value = "never" if figure.value is None or not np.isfinite(figure.value) else f"{figure.value:.4g}"
        table.add_row(figure.name, value, f"{low} - {high}", figure.unit, figure.target, verdict)
    console.print(table)
    if compared:
        wide = Table(*compared[0], title="procedures on the same streams")
        for row in compared:
            wide.add_row(*("never" if value is None else str(value) for value in row.values()))
        console.print(wide)


def written(figures: Sequence[Figure], compared: Sequence[dict[str, object]], machine: dict[str, object]) -> Path:
    path = RESULTS / "decisions.json"
    listed = {
        "machine": machine,
        "measured": datetime.now(UTC).date().isoformat(),
        "figures": [figure.as_dict() for figure in figures],
        "procedures": list(compared),
    }
    path.write_text(json.dumps(listed, indent=1) + "\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer streams, without alibi-detect; nothing is written")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="where the pictures go")
    parser.add_argument("--processes", type=int, default=1, help="that judge streams beside each other")
    chosen = parser.parse_args()
    sizes = QUICK if chosen.quick else FULL
    console = Console(stderr=True)
    with Progress(console=console) as progress:
        real = real_records()
        counts: list[tuple[streams.Kind, int]] = [
            (streams.INDEPENDENT, sizes.independent),
            (streams.AUTOREGRESSIVE, sizes.autoregressive),
            (streams.SHIFT, sizes.changed),
            (streams.COVARIANCE, sizes.changed),
            (streams.SLOW, sizes.changed),
        ]
        found = {kind.name: records(kind, number, chosen.processes, progress) for kind, number in counts}
        figures = [
            *null_figures(found["independent"], found["autoregressive"]),
            *real_figures(real),
            *real_shift_figures(),
            *change_figures(found),
        ]
        compared = comparison(found, real)
        machine: dict[str, object] = {}
        if not chosen.quick:
            theirs, machine = alibi_figures(progress)
            figures += theirs
    show(figures, compared)
    for figure in figures:
        print(json.dumps(figure.as_dict()))
    if chosen.plot:
        shown = {f"{name}: held out, calm": record.once_in for name, record in real.items()}
        shown |= {
            f"{name}, from window 21 on": found[name][0].once_in for name in ("shift", "covariance", "slow drift")
        }
        plot(chosen.plot, compared, shown, BUDGET)
    if not chosen.quick:
        print(f"written {written(figures, compared, machine)}", file=sys.stderr)


if __name__ == "__main__":
    main()
