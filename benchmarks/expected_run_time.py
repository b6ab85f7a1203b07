"""Do online detectors run as long as they state until a false alarm, and how soon do they see a change?

`python -m benchmarks.expected_run_time [--quick] [--detector name]`; the whole takes about half an hour on one core.
Every reference is new, with thresholds of its own seed, and is watched on several streams from `start` to the first
alarm; the standard error is over references, because streams against one reference share its luck. Tables for people;
the last lines are JSON, one object a figure.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from detectors.sequential.registry import create_online

Rows = NDArray[np.float64]
Source = Callable[[np.random.Generator, int], Rows]
"""From a number of rows to so many of them, in which nothing happens."""

KS, MMD, CUSUM = "online_kolmogorov_smirnov", "online_maximum_mean_discrepancy", "online_cumulative_sum"
PATIENCE = 20
"""Run times after which a stream is given up, and counted as that long."""


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a table."""

    detector: str
    parameters: dict[str, Any]
    source: Source
    label: str
    reference_rows: int
    references: int
    streams: int


def normal(features: int) -> Source:
    return lambda generator, rows: generator.normal(size=(rows, features))


def rounded(features: int) -> Source:
    """Heavily tied: skewed numbers without their fractions."""
    return lambda generator, rows: np.floor(generator.exponential(size=(rows, features)) * 3)


def correlated(features: int) -> Source:
    """Features that share half of their variance."""

    def source(generator: np.random.Generator, rows: int) -> Rows:
        return generator.normal(size=(rows, features)) + generator.normal(size=(rows, 1))

    return source


def autoregressive(features: int, memory: float) -> Source:
    """Each row is `memory` times the one before and something new; unit variance."""

    def source(generator: np.random.Generator, rows: int) -> Rows:
        noise = generator.normal(size=(rows + 200, features)) * np.sqrt(1 - memory**2)
        return np.ascontiguousarray(lfilter([1], [1, -memory], noise, axis=0)[200:])

    return source


def run_lengths(case: Case) -> NDArray[np.float64]:
    """Shape (references, streams)."""
    lengths = np.empty((case.references, case.streams))
    for number in range(case.references):
        generator = np.random.default_rng((20, number))
        detector = create_online(case.detector, {**case.parameters, "seed": number})
        reference = detector.fit(case.source(generator, case.reference_rows))
        stated = case.parameters["expected_run_time"]
        for stream in range(case.streams):
            lengths[number, stream] = run_length(detector, reference, case.source, generator, stated)
    return lengths


def run_length(detector: Any, reference: Any, source: Source, generator: np.random.Generator, stated: int) -> int:
    state = detector.start(reference)
    piece = min(max(stated // 4, 500), 20_000)
    while state.rows < PATIENCE * stated:
        # Pieces of a dependent source do not continue one another, which is felt once in a piece.
        state, results = detector.run(reference, state, source(generator, piece))
        alarm = results.first_alarm
        if alarm is not None:
            return int(alarm.row)
    return int(state.rows)


def delays(detector: Any, reference: Any, features: int, change: Callable[[Rows], Rows], streams: int) -> float:
    """Median rows to an alarm after 200 calm ones; streams that alarm earlier are drawn anew."""
    waited: list[int] = []
    generator = np.random.default_rng(21)
    while len(waited) < streams:
        state, calm = detector.run(reference, detector.start(reference), generator.normal(size=(200, features)))
        if calm.first_alarm is not None:
            continue
        changed = change(generator.normal(size=(5000, features)))
        alarm = detector.run(reference, state, changed)[1].first_alarm
        waited.append(5000 if alarm is None else alarm.row - 200)
    return float(np.median(waited))


def cases(detectors: tuple[str, ...], *, quick: bool) -> list[Case]:
    references, streams = (4, 20) if quick else (8, 30)
    found = []
    for detector in detectors:
        for features, rows, stated in ((1, 5000, 1000), (5, 5000, 1000), (5, 1000, 1000), (5, 5000, 10_000)):
            if quick and (rows, stated) != (5000, 1000):
                continue
            label = f"normal, {features} feature{'s' * (features > 1)}"
            given = {"expected_run_time": stated}
            found.append(Case(detector, given, normal(features), label, rows, references, streams))
        given = {"expected_run_time": 1000}
        if not quick:
            found.append(Case(detector, given, rounded(5), "tied, 5 features", 5000, references, streams))
            found.append(Case(detector, given, correlated(5), "correlated, 5 features", 5000, references, streams))
            far = {"expected_run_time": 100_000}
            found.append(Case(detector, far, normal(1), "normal, 1 feature", 5000, 6, 10))
        for block_rows, rows in ((1, 20_000), (20, 20_000), (100, 20_000), (100, 5000)):
            blocks = {"expected_run_time": 1000, "block_rows": block_rows, "maximum_reference_rows": 2000}
            if detector != MMD:
                del blocks["maximum_reference_rows"]
            for memory in (0.5,) if quick else (0.5, 0.8):
                label = f"memory {memory}, 2 features, blocks of {block_rows}"
                found.append(Case(detector, blocks, autoregressive(2, memory), label, rows, references, streams))
    return found


def print_run_lengths(detectors: tuple[str, ...], *, quick: bool) -> list[dict[str, Any]]:
    figures = []
    print(f"{'detector':34} {'stream':40} {'ref.':>6} {'stated':>7} {'measured':>9} {'error':>6} {'middle half':>15}")
    for case in cases(detectors, quick=quick):
        lengths = run_lengths(case)
        means = lengths.mean(axis=1)
        low, high = np.quantile(means, [0.25, 0.75])
        stated, error = case.parameters["expected_run_time"], means.std(ddof=1) / np.sqrt(len(means))
        print(
            f"{case.detector:34} {case.label:40} {case.reference_rows:6} {stated:7} {means.mean():9.0f} {error:6.0f} "
            f"{low:7.0f}-{high:.0f}",
            flush=True,
        )
        named = f"run_time {case.detector} {case.label} {case.reference_rows}"
        figures.append({"name": named, "value": round(means.mean() / stated, 3), "unit": "stated run times"})
    return figures


def print_delays(*, quick: bool) -> list[dict[str, Any]]:
    features, figures = 5, []
    changes: dict[str, Callable[[Rows], Rows]] = {
        "one mean by 0.25": lambda rows: rows + np.array([0.25, 0, 0, 0, 0]),
        "one mean by 0.5": lambda rows: rows + np.array([0.5, 0, 0, 0, 0]),
        "one mean by 1": lambda rows: rows + np.array([1.0, 0, 0, 0, 0]),
        "one mean by 3": lambda rows: rows + np.array([3.0, 0, 0, 0, 0]),
        "all means by 0.5": lambda rows: rows + 0.5,
        "one deviation times 2": lambda rows: rows * np.array([2.0, 1, 1, 1, 1]),
        "all deviations times 1.5": lambda rows: rows * 1.5,
        "two become equal": lambda rows: rows[:, [0, 0, 2, 3, 4]],
    }
    print(f"\n{'median delay, stated run time 10,000':38} {'CUSUM':>8} {'KS':>8} {'MMD':>8}")
    fitted = []
    for name in (CUSUM, KS, MMD):
        detector = create_online(name, {"expected_run_time": 10_000})
        fitted.append((detector, detector.fit(np.random.default_rng(22).normal(size=(5000, features)))))
    for label, change in changes.items():
        waited = [delays(*pair, features, change, 10 if quick else 50) for pair in fitted]
        print(
            f"{label:38} " + " ".join(f"{'never' if each >= 5000 else f'{each:.0f}':>8}" for each in waited), flush=True
        )
        for (detector, _), each in zip(fitted, waited, strict=True):
            figures.append({"name": f"delay {detector.name} {label}", "value": each, "unit": "rows"})
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer cases and streams: some minutes")
    parser.add_argument("--detector", choices=(KS, CUSUM, MMD), help="run times of this one only, and no delays")
    chosen = parser.parse_args()
    detectors = (chosen.detector,) if chosen.detector else (KS, CUSUM, MMD)
    figures = print_run_lengths(detectors, quick=chosen.quick)
    if not chosen.detector:
        figures += print_delays(quick=chosen.quick)
    print()
    for figure in figures:
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
