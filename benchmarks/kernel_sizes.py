"""How often the kernel tests alarm when nothing changes: `python -m benchmarks.kernel_sizes [--quick] [--only NAME]`.

Dense and heavy-tailed features, and sparse ones, of which a window holds none, one or two values that are not zero. For
every kind of data, number of reference rows and number of window rows: references anew, and a few windows of each. The
last lines are JSON, one object a figure.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from detectors.kernel.aggregated import AggregatedMaximumMeanDiscrepancy
from detectors.kernel.cross_maximum_mean_discrepancy import CrossMaximumMeanDiscrepancy
from detectors.kernel.density_difference import LeastSquaresDensityDifference
from detectors.kernel.fast_maximum_mean_discrepancy import FastMaximumMeanDiscrepancy
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from detectors.protocols import Detector

Rows = NDArray[np.float64]
Drawn = Callable[[np.random.Generator, int], Rows]
"""From a generator and a number of rows to rows."""

LEVELS = (0.05, 0.01, 0.001)
FEATURES = 2
PERMUTATIONS = 99
"""Their smallest p-value is 0.01, so that no permutation test can be wrong at 0.001."""


def normal(generator: np.random.Generator, rows: int) -> Rows:
    return generator.normal(size=(rows, FEATURES))


def heavy_tails(generator: np.random.Generator, rows: int) -> Rows:
    return generator.standard_t(2, size=(rows, FEATURES))


def two_in_a_hundred(generator: np.random.Generator, rows: int) -> Rows:
    return (generator.random((rows, FEATURES)) < 0.02).astype(np.float64)


def five_in_a_thousand(generator: np.random.Generator, rows: int) -> Rows:
    return (generator.random((rows, FEATURES)) < 0.005).astype(np.float64)


def counts(generator: np.random.Generator, rows: int) -> Rows:
    return generator.poisson(0.3, size=(rows, FEATURES)).astype(np.float64)


def mostly_zero(generator: np.random.Generator, rows: int) -> Rows:
    present = generator.random((rows, FEATURES)) < 0.05
    return np.where(present, generator.lognormal(size=(rows, FEATURES)), 0.0)


KINDS: dict[str, Drawn] = {
    "normal": normal,
    "Student's t, 2 degrees": heavy_tails,
    "binary, 0.02": two_in_a_hundred,
    "binary, 0.005": five_in_a_thousand,
    "Poisson, 0.3": counts,
    "zero but for 0.05": mostly_zero,
}

FORMS: dict[str, Detector[Any, Any]] = {
    "exact": MaximumMeanDiscrepancy(PERMUTATIONS),
    "aggregated": AggregatedMaximumMeanDiscrepancy(PERMUTATIONS),
    "fast": FastMaximumMeanDiscrepancy(frequencies=250),
    "cross": CrossMaximumMeanDiscrepancy(),
    "density difference": LeastSquaresDensityDifference(PERMUTATIONS),
}


@dataclass(frozen=True, slots=True)
class Study:
    """How much of it."""

    reference_rows: tuple[int, ...]
    window_rows: tuple[int, ...]
    references: int
    windows: int
    """For every reference."""


FULL = Study(reference_rows=(100, 300, 1000, 5000), window_rows=(10, 50, 200, 1000), references=60, windows=20)
QUICK = Study(reference_rows=(100, 1000), window_rows=(10, 200), references=20, windows=20)

Sizes = dict[tuple[str, int, int], dict[str, NDArray[np.float64]]]
"""By kind of data, reference rows and window rows, and by form: the p-values."""


def run(study: Study, forms: dict[str, Detector[Any, Any]], progress: Progress) -> Sizes:
    """Every form on every window, in turn."""
    task = progress.add_task("references", total=len(KINDS) * len(study.reference_rows) * study.references)
    found: dict[tuple[str, int, int], dict[str, list[float]]] = {}
    for kind, drawn in KINDS.items():
        for n in study.reference_rows:
            generator = np.random.default_rng((2026, n))
            for _ in range(study.references):
                reference = drawn(generator, n)
                fitted = {name: detector.fit(reference) for name, detector in forms.items()}
                for m in study.window_rows:
                    cell = found.setdefault((kind, n, m), {name: [] for name in forms})
                    for _ in range(study.windows):
                        window = drawn(generator, m)
                        for name, detector in forms.items():
                            summary = detector.summarise(fitted[name], window)
                            cell[name].append(float(detector.test(fitted[name], summary).p_value[0]))
                progress.advance(task)
    return {key: {name: np.array(values) for name, values in cell.items()} for key, cell in found.items()}


def shares(p_values: NDArray[np.float64]) -> list[float]:
    """Per cent of windows that alarm at each level."""
    return [100 * float((p_values <= level + 1e-12).mean()) for level in LEVELS]


def table(sizes: Sizes, forms: dict[str, Detector[Any, Any]]) -> Table:
    levels = ", ".join(f"{level:g}" for level in LEVELS)
    shown = Table(title=f"Alarms when nothing changes, in per cent, at the levels {levels}")
    for column in ("data", "reference", "window", *forms):
        shown.add_column(column, justify="left" if column == "data" else "right")
    for (kind, n, m), cell in sizes.items():
        written = (" / ".join(f"{share:.1f}" for share in shares(p_values)) for p_values in cell.values())
        shown.add_row(kind, str(n), str(m), *written)
    return shown


def figures(sizes: Sizes, forms: dict[str, Detector[Any, Any]]) -> Iterator[dict[str, Any]]:
    for kind in KINDS:
        cells = [cell for (of, _, _), cell in sizes.items() if of == kind]
        for name in forms:
            p_values = np.concatenate([cell[name] for cell in cells])
            for level, share in zip(LEVELS, shares(p_values), strict=True):
                spelled = f"{name} at {level:g}: {kind}"
                yield {"name": spelled, "value": round(share, 2), "unit": "%", "against": f"{100 * level:g} %"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a fraction of the windows")
    parser.add_argument("--only", choices=FORMS, action="append", help="these forms only")
    arguments = parser.parse_args()
    study = QUICK if arguments.quick else FULL
    forms = {name: FORMS[name] for name in arguments.only or FORMS}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(width=160)
    with Progress(*columns, console=Console(stderr=True)) as progress:
        sizes = run(study, forms, progress)
    print(f"{FEATURES} features, {study.references} references with {study.windows} windows each for every cell")
    console.print(table(sizes, forms))
    for figure in figures(sizes, forms):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
