"""Our side of a comparison, in a process like theirs; and with `peak`, one test whose memory is looked at.

`python -m benchmarks.side_ours peak ROWS FEATURES PERMUTATIONS` prints one line of JSON.
"""

import json
import platform
import resource
import sys
from functools import reduce
from importlib.metadata import version
from operator import add
from time import perf_counter, process_time
from typing import Any

import numpy as np
from scipy.stats import kstwo

from benchmarks.wire import Answer, Rows, Way, serve
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from detectors.rank.kolmogorov_smirnov import KolmogorovSmirnov
from detectors.registry import create

PACKAGES = ("driftwarden", "numpy", "scipy")
ALPHA = 0.05
PANES = 10


def kolmogorov_smirnov_decision(reference: Rows, window_rows: int) -> Way:
    """D of every feature, and the Bonferroni decision: whether any D has a p-value below alpha over the features."""
    detector = KolmogorovSmirnov()
    fitted = detector.fit(reference)
    effective = round(len(reference) * window_rows / (len(reference) + window_rows))
    critical = float(kstwo.isf(ALPHA / reference.shape[1], effective))  # once for all windows of this many rows

    def way(window: Rows) -> Answer:
        distance = detector.measure(fitted, detector.summarise(fitted, window)).statistic
        return {"distance": distance, "is_drift": bool(distance.max() > critical)}

    return way


def kolmogorov_smirnov(reference: Rows) -> Way:
    """The same with every p-value."""
    detector = KolmogorovSmirnov()
    fitted = detector.fit(reference)

    def way(window: Rows) -> Answer:
        result = detector.test(fitted, detector.summarise(fitted, window))
        is_drift = bool(result.p_value.min() < ALPHA / len(result.p_value))
        return {"distance": result.statistic, "p_val": result.p_value, "is_drift": is_drift}

    return way


def panes(reference: Rows) -> Way:
    """A window that came as the summaries of its panes: testing what is merged already, merging it first, and by rows.

    The answer holds its own times, because the three share their summaries.
    """
    detector = KolmogorovSmirnov()
    fitted = detector.fit(reference)

    def way(window: Rows) -> Answer:
        parts = [detector.summarise(fitted, pane) for pane in np.array_split(window, PANES)]
        merged = detector.restore(fitted, reduce(add, parts).arrays())  # sorting is put off until somebody looks
        ways = {
            "rows": lambda: detector.test(fitted, detector.summarise(fitted, window)),
            "with_merging": lambda: detector.test(fitted, reduce(add, parts)),
            "merged": lambda: detector.test(fitted, merged),
        }
        times, answers = {}, set()
        for name, ask in ways.items():
            began = process_time()
            result = ask()
            times[name] = process_time() - began
            answers.add(result.p_value.tobytes())
        assert len(answers) == 1
        return times

    return way


def maximum_mean_discrepancy(reference: Rows, permutations: int) -> Way:
    """Of all rows, not standardised, with alibi-detect's bandwidth: the same statistic."""
    detector = MaximumMeanDiscrepancy(
        permutations=permutations, standardise=False, maximum_reference_rows=len(reference), maximum_window_rows=10_000
    )
    return _joint(detector, reference)


def fast_maximum_mean_discrepancy(reference: Rows) -> Way:
    return _joint(create("fast_maximum_mean_discrepancy", {}), reference)


def _joint(detector: Any, reference: Rows) -> Way:
    fitted = detector.fit(reference)

    def way(window: Rows) -> Answer:
        result = detector.test(fitted, detector.summarise(fitted, window))
        p_value = float(result.p_value[0])
        return {"distance": float(result.statistic[0]), "p_val": p_value, "is_drift": p_value <= ALPHA}

    return way


def machine() -> Answer:
    versions = {package: version(package) for package in PACKAGES}
    return {"python": platform.python_version(), **versions, "device": "cpu", "threads": 1}


def peak(rows: int, features: int, permutations: int) -> Answer:
    """Test this many rows against as many; the largest resident size of this process in bytes, rows and all."""
    generator = np.random.default_rng(20)
    reference, window = generator.normal(size=(rows, features)), generator.normal(size=(rows, features))
    before = _resident()
    detector = MaximumMeanDiscrepancy(permutations=permutations, maximum_reference_rows=rows, maximum_window_rows=rows)
    began = perf_counter()
    fitted = detector.fit(reference)
    fit_seconds = perf_counter() - began
    result = detector.test(fitted, detector.summarise(fitted, window))
    assert result.reference_count == result.window_count == rows
    return {
        "before": before,
        "peak": _resident(),
        "fit_seconds": fit_seconds,
        "seconds": perf_counter() - began,
        "distance": result.statistic[0],
        "p_val": result.p_value[0],
    }


def _resident() -> int:
    """The largest so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


WAYS = {
    "kolmogorov_smirnov_decision": kolmogorov_smirnov_decision,
    "kolmogorov_smirnov": kolmogorov_smirnov,
    "panes": panes,
    "maximum_mean_discrepancy": maximum_mean_discrepancy,
    "fast_maximum_mean_discrepancy": fast_maximum_mean_discrepancy,
}


def main() -> None:
    if sys.argv[1:2] == ["peak"]:
        print(json.dumps(peak(*map(int, sys.argv[2:]))))
    else:
        serve(WAYS, machine)


if __name__ == "__main__":
    main()
