"""What comparing like with like is worth: `python -m benchmarks.seasons`, `--quick` for fewer streams.

Streams with a day in them, in windows of five hours, and departures from New York JFK by their hour (`uv sync --inexact
--group benchmarks` brings them), judged window by window at 5 %. Ours is the service's own way: `fit`, `measure`,
`decide`. Beside it: no season at all, and reference rows that are carried by ranks which they have a part in. One JSON
object a figure, and a table.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import real_data
from benchmarks.real_data import Rows, Times
from detectors.calibration import FalseAlarms
from service.domain.decision import decide
from service.domain.fitted_plan import FittedPlan, fit
from service.domain.models import Finding, Reference
from service.domain.plan import DecisionPlan, DetectorPlan, Plan, WindowPlan, check
from service.domain.season import SeasonPlan

Way = Literal["none", "in sample", "season"]
WAYS: tuple[Way, ...] = ("none", "in sample", "season")
DETECTORS = (DetectorPlan("kolmogorov_smirnov"),)
SHIFT = 0.5
"""Of the first feature, in its deviations within an hour."""
HOUR_MS = 3_600_000
_QUARTILES = 1.349
"""Between those of a normal distribution, in deviations."""
ROWS_AN_HOUR = 20
WINDOW_ROWS = 100
WINDOWS = 100
DAYS = (10, 42)
"""Of references: 200 and 840 rows of each hour."""


@dataclass(frozen=True, slots=True)
class Series:
    """Rows in the order of time: the first part is the reference, and nothing changes after it."""

    name: str
    rows: Rows
    times: Times
    reference_rows: int
    window_rows: int
    shift: Rows
    """What is added to each row of the other windows."""


def a_day_in_it(seed: int, days: int) -> Series:
    """20 rows an hour: a mean that goes two deviations up and down, a spread, a share, the hour itself, and noise."""
    generator = np.random.default_rng([seed, days])
    count = days * 24 * ROWS_AN_HOUR
    times = np.arange(count + WINDOWS * WINDOW_ROWS, dtype=np.int64) * (HOUR_MS // ROWS_AN_HOUR)
    phase = np.sin(times / (24 * HOUR_MS) * 2 * np.pi)
    size = len(times)
    rows = np.column_stack(
        [
            generator.normal(2 * phase),
            generator.normal(size=size) * (1.5 + phase),
            generator.random(size) < 0.5 + 0.4 * phase,
            times // HOUR_MS % 24,
            generator.normal(size=size),
        ]
    )
    shift = np.zeros(rows.shape)
    shift[:, 0] = SHIFT
    return Series(f"of_{days}_days", rows, times, count, WINDOW_ROWS, shift)


def flights() -> Series:
    """Of the hours that have departures enough, without the hour. Departure delays are shifted.

    Their tails are long: a deviation is what it would be of a normal distribution with the hour's quartiles.
    """
    rows, times = real_data.timed_flights()
    rows = rows[:, 1:]
    first = int(len(rows) * real_data.REFERENCE_SHARE)
    hours = times // HOUR_MS % 24
    there = np.isin(hours, np.flatnonzero(np.bincount(hours[:first], minlength=24) >= 300))
    rows, times, hours = rows[there], times[there], hours[there]
    first = int(len(rows) * real_data.REFERENCE_SHARE) // WINDOW_ROWS * WINDOW_ROWS
    shift = np.zeros(rows.shape)
    for hour in np.unique(hours):
        low, high = np.quantile(rows[:first][hours[:first] == hour, 1], (0.25, 0.75))
        shift[hours == hour, 1] = SHIFT * (high - low) / _QUARTILES
    return Series("flights", rows, times, first, WINDOW_ROWS, shift)


def fitted(series: Series, way: Way) -> FittedPlan:
    season = None if way == "none" else SeasonPlan("hour_of_day")
    plan = Plan(WindowPlan(series.window_rows), DETECTORS, DecisionPlan(0.05, season=season))
    check(plan)
    first = series.reference_rows
    names = tuple(f"feature_{place}" for place in range(series.rows.shape[1]))
    reference = Reference(names, series.rows[:first], times=series.times[:first])
    made = fit(plan, reference)
    if way == "in sample":
        carried = replace(reference, rows=made.compared(reference.rows, reference.times))
        plainly = fit(replace(plan, decision=DecisionPlan(0.05)), carried)
        made = replace(plainly, seasons=made.seasons)
    assert made.calibration is not None
    return made


@dataclass(frozen=True, slots=True)
class Judged:
    """Windows that were found drifted."""

    calm: int
    moved: int
    windows: int

    def __add__(self, other: "Judged") -> "Judged":
        return Judged(self.calm + other.calm, self.moved + other.moved, self.windows + other.windows)


def judged(series: Series, way: Way) -> Judged:
    made, size = fitted(series, way), series.window_rows
    starts = range(series.reference_rows, len(series.rows) - size + 1, size)
    found = []
    for shift in (0.0, 1.0):
        rows = series.rows + shift * series.shift
        findings = [
            decide(made, made.measure(rows[first : first + size], series.times[first : first + size])).finding
            for first in starts
        ]
        found.append(sum(finding is Finding.DRIFT for finding in findings))
    return Judged(found[0], found[1], len(starts))


def all_series(streams: int) -> Iterator[Series]:
    for seed in range(streams):
        yield from (a_day_in_it(seed, days) for days in DAYS)
    yield flights()


def show(found: dict[str, dict[Way, Judged]]) -> None:
    table = Table("series", "compared", "calm windows that alarm", "shifted windows found", title="5 % a window")
    for name, ways in found.items():
        for way, counted in ways.items():
            calm, moved = (FalseAlarms.of(each, counted.windows) for each in (counted.calm, counted.moved))
            shown = [f"{each.rate:.1%} ({each.lower:.1%} to {each.upper:.1%})" for each in (calm, moved)]
            table.add_row(name, way, *shown)
            for what, share in (("calm_alarm_rate", calm), ("shift_found", moved)):
                figure = {
                    "name": f"{what}_{name}_{way.replace(' ', '_')}",
                    "value": share.rate,
                    "interval": [share.lower, share.upper],
                    "unit": "of windows",
                    "against": f"{counted.windows} windows",
                }
                print(json.dumps(figure))
    Console(width=130, stderr=True).print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two streams of each kind in place of ten")
    chosen = parser.parse_args(arguments)
    found: dict[str, dict[Way, Judged]] = {}
    console = Console(stderr=True)
    for series in track(list(all_series(2 if chosen.quick else 10)), console=console):
        ways = found.setdefault(series.name, {way: Judged(0, 0, 0) for way in WAYS})
        for way in WAYS:
            ways[way] += judged(series, way)
    show(found)


if __name__ == "__main__":
    sys.exit(main())
