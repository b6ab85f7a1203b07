"""How much sooner our detectors answer than the usual loops, and than alibi-detect's.

`python -m benchmarks.detectors [--quick]` compares with SciPy and with a permutation loop, in this process;
`python -m benchmarks.detectors --against alibi [--only FIGURE]` with alibi-detect in its own, which `make alibi` makes.

Both sides get the same rows and must give the same answer. Rounds are interleaved, so that whatever else the machine
does falls on both; figures are medians. The last lines are JSON, one object a figure.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from benchmarks import against_alibi
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from detectors.rank.kolmogorov_smirnov import KolmogorovSmirnov

Rows = NDArray[np.float64]
Way = Callable[[Rows], NDArray[np.float64]]
"""From a window to its p-values."""

PERMUTATIONS = 100


@dataclass(frozen=True, slots=True)
class Contest:
    """One question: two ways to the same p-values."""

    name: str
    against: str
    sizes: tuple[int, int, int]
    """Reference rows, window rows, features."""
    ours: Way
    theirs: Way
    tolerance: float
    """How far the p-values may be apart: none for the same law, much for different random permutations."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str
    against: str

    def as_json(self) -> str:
        return json.dumps({"name": self.name, "value": self.value, "unit": self.unit, "against": self.against})


def normal(seed: int, *shape: int) -> Rows:
    return np.random.default_rng(seed).normal(size=shape)


def kolmogorov_smirnov(rows: int, window: int, features: int) -> Contest:
    reference = normal(1, rows, features)
    detector = KolmogorovSmirnov()
    fitted = detector.fit(reference)

    def ours(fresh: Rows) -> NDArray[np.float64]:
        return detector.test(fitted, detector.summarise(fitted, fresh)).p_value

    def theirs(fresh: Rows) -> NDArray[np.float64]:
        return np.array([ks_2samp(reference[:, f], fresh[:, f], method="asymp").pvalue for f in range(features)])

    against = "scipy.stats.ks_2samp(method='asymp') for every feature"
    return Contest("ks_speedup_over_scipy", against, (rows, window, features), ours, theirs, tolerance=1e-11)


def maximum_mean_discrepancy(rows: int, window: int, features: int) -> Contest:
    reference = normal(2, rows, features)
    largest = max(rows, window)
    detector = MaximumMeanDiscrepancy(
        permutations=PERMUTATIONS, maximum_reference_rows=largest, maximum_window_rows=largest
    )
    fitted = detector.fit(reference)
    placed = fitted.frame.place(reference)
    generator = np.random.default_rng(3)

    def ours(fresh: Rows) -> NDArray[np.float64]:
        return detector.test(fitted, detector.summarise(fitted, fresh)).p_value

    def theirs(fresh: Rows) -> NDArray[np.float64]:
        return permutation_loop(placed, fitted.frame.place(fresh), generator)

    against = f"one kernel, then K[order][:, order] for each of {PERMUTATIONS} permutations"
    return Contest("mmd_speedup_over_loop", against, (rows, window, features), ours, theirs, tolerance=0.3)


def permutation_loop(reference: Rows, window: Rows, generator: np.random.Generator) -> NDArray[np.float64]:
    """The usual way: the whole kernel once, in place, and a permuted copy of it for every permutation."""
    rows, n = np.concatenate([reference, window]), len(reference)
    half = (rows * rows).sum(axis=1) / 2
    kernel = rows @ rows.T
    kernel -= half[:, np.newaxis]
    kernel -= half
    np.exp(np.minimum(kernel, 0, out=kernel), out=kernel)
    np.fill_diagonal(kernel, 0)

    def discrepancy(matrix: Rows) -> float:
        m = len(rows) - n
        within = matrix[:n, :n].sum() / (n * (n - 1)) + matrix[n:, n:].sum() / (m * (m - 1))
        return float(within - 2 * matrix[:n, n:].mean())

    observed = discrepancy(kernel)
    extreme = 0
    for _ in range(PERMUTATIONS):
        order = generator.permutation(len(rows))
        extreme += discrepancy(kernel[order][:, order]) >= observed
    return np.array([(extreme + 1) / (PERMUTATIONS + 1)])


def seconds(way: Way, window: Rows) -> tuple[float, NDArray[np.float64]]:
    start = perf_counter()
    answer = way(window)
    return perf_counter() - start, answer


def figures(contest: Contest, rounds: int, *, headline: bool) -> Iterator[Figure]:
    """Time both ways on fresh windows in turn, and check that they agree."""
    _, window_rows, features = contest.sizes
    our_times, their_times = [], []
    for round_number in range(rounds + 1):
        window = normal(100 + round_number, window_rows, features)
        ours, our_answer = seconds(contest.ours, window)
        theirs, their_answer = seconds(contest.theirs, window)
        np.testing.assert_allclose(our_answer, their_answer, atol=contest.tolerance, rtol=0)
        if round_number:  # the first round warms up
            our_times.append(ours)
            their_times.append(theirs)
    ours, theirs = median(our_times), median(their_times)
    size = f"{contest.sizes[0]}x{features}_window_{window_rows}"
    print(f"{contest.name:<24} {size:<24} {ours * 1e3:>10.2f} ms {theirs * 1e3:>10.1f} ms {theirs / ours:>8.1f} x")
    name = contest.name if headline else f"{contest.name}_{size}"
    yield Figure(name, round(theirs / ours, 2), "times as fast", contest.against)
    short = contest.name.split("_", maxsplit=1)[0]
    yield Figure(f"{short}_time_{size}", round(ours * 1e3, 3), "ms", "")
    yield Figure(f"{short}_other_time_{size}", round(theirs * 1e3, 3), "ms", contest.against)


def contests(*, quick: bool) -> Iterator[tuple[Contest, int, bool]]:
    """Each with its rounds, and whether it is the one that is quoted."""
    yield kolmogorov_smirnov(10_000, 1000, 100), 9 if quick else 31, True
    yield maximum_mean_discrepancy(1000, 1000, 20), 3 if quick else 9, True
    if quick:
        return
    for sizes in ((1000, 100, 10), (1000, 1000, 10), (10_000, 10_000, 100), (100_000, 1000, 100)):
        yield kolmogorov_smirnov(*sizes), 5, False
    for sizes in ((500, 500, 20), (2000, 2000, 20), (5000, 1000, 20)):
        yield maximum_mean_discrepancy(*sizes), 3, False


def compare(*, quick: bool) -> None:
    """Print the table, then the figures as JSON."""
    print(f"{'figure':<24} {'reference and window':<24} {'ours':>13} {'other way':>13} {'ratio':>10}")
    found = [
        figure
        for contest, rounds, headline in contests(quick=quick)
        for figure in figures(contest, rounds, headline=headline)
    ]
    print()
    for figure in found:
        print(figure.as_json())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only the two figures that are quoted")
    parser.add_argument("--against", choices=["alibi"], help="compare with alibi-detect, in its own environment")
    parser.add_argument("--only", action="append", default=[], metavar="FIGURE", help="with --against: only this one")
    chosen = parser.parse_args()
    if chosen.against:
        against_alibi.run(chosen.only)
    elif chosen.only:
        parser.error("--only goes with --against")
    else:
        compare(quick=chosen.quick)


if __name__ == "__main__":
    main()
