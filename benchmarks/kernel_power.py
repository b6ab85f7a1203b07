"""How often the kernel tests alarm, with and without a change: `python -m benchmarks.kernel_power [--quick]`.

All forms see the same windows of the same references, in one run, so that the difference of two of them is known much
better than either. Alternatives are such that the exact test finds them now and then. Rejections are at 5 %. The last
lines are JSON, one object a figure.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from detectors.kernel.aggregated import AggregatedMaximumMeanDiscrepancy
from detectors.kernel.cross_maximum_mean_discrepancy import CrossMaximumMeanDiscrepancy
from detectors.kernel.fast_maximum_mean_discrepancy import FastMaximumMeanDiscrepancy
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from detectors.protocols import Detector

Rows = NDArray[np.float64]
Change = Callable[[np.random.Generator, int], Rows]
"""From a generator and a number of rows to window rows."""

ALPHA = 0.05
FEATURES = 20
PERMUTATIONS = 199
AGGREGATED_PERMUTATIONS = 99


@dataclass(frozen=True, slots=True)
class Study:
    """How much of it."""

    reference_rows: int
    window_rows: int
    references: int
    windows: int
    """Of each kind, for every reference."""
    every: int
    """The slowest form sees one window in so many."""
    calm: int
    """More windows without a change, for every reference, which only the quick forms see."""


FULL = Study(reference_rows=5000, window_rows=1000, references=16, windows=10, every=5, calm=100)
QUICK = Study(reference_rows=5000, window_rows=1000, references=4, windows=5, every=5, calm=25)


def normal(generator: np.random.Generator, rows: int) -> Rows:
    return generator.normal(size=(rows, FEATURES))


def mean_of_one(generator: np.random.Generator, rows: int) -> Rows:
    window = normal(generator, rows)
    window[:, 0] += 0.15
    return window


def mean_of_all(generator: np.random.Generator, rows: int) -> Rows:
    return normal(generator, rows) + 0.032


def scale_of_all(generator: np.random.Generator, rows: int) -> Rows:
    return normal(generator, rows) * 1.033


def correlation(generator: np.random.Generator, rows: int) -> Rows:
    """0.048 between any two features; means and variances stay."""
    common = generator.normal(size=(rows, 1))
    return np.sqrt(0.952) * normal(generator, rows) + np.sqrt(0.048) * common


def skewness(generator: np.random.Generator, rows: int) -> Rows:
    """Seven features become exponential; their means and variances stay."""
    window = normal(generator, rows)
    window[:, :7] = generator.exponential(size=(rows, 7)) - 1
    return window


CHANGES: dict[str, Change] = {
    "nothing": normal,
    "mean of one feature": mean_of_one,
    "mean of all": mean_of_all,
    "scale of all": scale_of_all,
    "correlation": correlation,
    "skewness of seven": skewness,
}

EXACT, FAST, CROSS, AGGREGATED = "exact", "fast", "cross", "aggregated"
SLOW = {EXACT, AGGREGATED}


def forms(study: Study, seed: int) -> dict[str, Detector[Any, Any]]:
    """The detectors by name; their random choices are others for every reference."""
    rows = study.reference_rows
    return {
        EXACT: MaximumMeanDiscrepancy(PERMUTATIONS, seed=seed, maximum_reference_rows=rows),
        FAST: FastMaximumMeanDiscrepancy(seed=seed),
        "fast, 1000": FastMaximumMeanDiscrepancy(frequencies=1000, seed=seed),
        "fast, 250": FastMaximumMeanDiscrepancy(frequencies=250, seed=seed),
        CROSS: CrossMaximumMeanDiscrepancy(seed=seed),
        AGGREGATED: AggregatedMaximumMeanDiscrepancy(AGGREGATED_PERMUTATIONS, seed=seed, maximum_reference_rows=rows),
    }


@dataclass(slots=True)
class Alarms:
    """Whether a form alarmed at each window of one kind that it saw."""

    found: list[bool] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return float(np.mean(self.found))

    @property
    def error(self) -> float:
        """One standard error."""
        return float(np.sqrt(self.rate * (1 - self.rate) / len(self.found)))

    def __str__(self) -> str:
        return f"{100 * self.rate:.1f} ± {100 * self.error:.1f}"


Outcome = dict[str, dict[str, Alarms]]
"""By kind of change, and by form."""


def run(study: Study, progress: Progress) -> Outcome:
    """Every form on every window, in turn."""
    total = study.references * (study.windows * len(CHANGES) + study.calm)
    task = progress.add_task("windows", total=total)
    names = list(forms(study, 0))
    outcome: Outcome = {change: {name: Alarms() for name in names} for change in CHANGES}
    calm: dict[str, list[bool]] = {name: [] for name in names if name not in SLOW}
    for repetition in range(study.references):
        generator = np.random.default_rng((2026, repetition))
        reference = normal(generator, study.reference_rows)
        detectors = forms(study, repetition)
        fitted = {name: detector.fit(reference) for name, detector in detectors.items()}
        for number in range(study.windows):
            seeing = [name for name in names if name != AGGREGATED or number % study.every == 0]
            for change, drawn in CHANGES.items():
                window = drawn(generator, study.window_rows)
                for name in seeing:
                    outcome[change][name].found.append(alarmed(detectors[name], fitted[name], window))
                progress.advance(task)
        for _ in range(study.calm):
            window = normal(generator, study.window_rows)
            for name, found in calm.items():
                found.append(alarmed(detectors[name], fitted[name], window))
            progress.advance(task)
    for name, found in calm.items():  # after those that all forms have seen
        outcome["nothing"][name].found.extend(found)
    return outcome


def alarmed(detector: Detector[Any, Any], fitted: Any, window: Rows) -> bool:
    return bool(detector.test(fitted, detector.summarise(fitted, window)).p_value[0] <= ALPHA)


def gap(of: dict[str, Alarms], name: str) -> tuple[float, float]:
    """How much more often the exact test alarms, in points, and the standard error over the windows that both saw."""
    both = len(of[EXACT].found)  # the first ones
    differences = np.subtract(of[EXACT].found, of[name].found[:both], dtype=np.float64)
    return 100 * float(differences.mean()), 100 * float(differences.std() / np.sqrt(len(differences)))


def table(outcome: Outcome) -> Table:
    shown = Table(title=f"Alarms at {ALPHA:.0%}, in per cent, with one standard error")
    shown.add_column("change")
    for name in outcome["nothing"]:
        shown.add_column(name, justify="right")
    shown.add_column("exact - fast", justify="right")
    for change, by_form in outcome.items():
        difference, error = gap(by_form, FAST)
        shown.add_row(change, *(str(alarms) for alarms in by_form.values()), f"{difference:+.1f} ± {error:.1f}")
    return shown


def figures(outcome: Outcome) -> Iterator[dict[str, Any]]:
    powers = [by_form for change, by_form in outcome.items() if change != "nothing"]
    gaps = [gap(by_form, FAST)[0] for by_form in powers]
    against = f"maximum_mean_discrepancy, all rows, {PERMUTATIONS} permutations"
    yield {"name": "mmd_fast_power_gap", "value": round(max(gaps), 2), "unit": "points", "against": against}
    yield {
        "name": "mmd_fast_power_gap_mean",
        "value": round(float(np.mean(gaps)), 2),
        "unit": "points",
        "against": against,
    }
    for name, alarms in outcome["nothing"].items():
        spelled = name.replace(", ", "_")
        size, power = 100 * alarms.rate, 100 * float(np.mean([by_form[name].rate for by_form in powers]))
        yield {"name": f"mmd_{spelled}_size", "value": round(size, 2), "unit": "%", "against": "5 % asked for"}
        yield {"name": f"mmd_{spelled}_power_mean", "value": round(power, 2), "unit": "%", "against": ""}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the windows")
    study = QUICK if parser.parse_args().quick else FULL
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(width=140)
    with Progress(*columns, console=Console(stderr=True)) as progress:
        outcome = run(study, progress)
    windows = study.references * study.windows
    print(
        f"{study.reference_rows} reference rows, windows of {study.window_rows}, {FEATURES} features, "
        f"{study.references} references, {windows} windows of each kind ({AGGREGATED}: {windows // study.every}; "
        f"without a change {windows + study.references * study.calm} for the quick forms)"
    )
    console.print(table(outcome))
    for figure in figures(outcome):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
