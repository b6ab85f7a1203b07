"""Our detectors and alibi-detect's, side by side in one run: `python -m benchmarks.detectors --against alibi`.

Each side is a process of its own, in its own environment, on one thread; they get the same rows, take turns round by
round, and must give the same answer. `make alibi` makes alibi-detect's environment.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from scipy.stats import ks_2samp

from benchmarks import kernel_power
from benchmarks.wire import ONE_THREAD, Answer, Rows, receive, send

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
PERMUTATIONS = 100

DISTANCE_TOLERANCE = 1e-12
P_VALUE_TOLERANCE = 1e-9
FLOAT32 = 2.0**-22  # theirs are float32 numbers
CHANCE = 0.3  # between two p-values of 100 permutations each: more than four deviations
BANDWIDTHS = 1e-2  # between statistics: bandwidths may rest on different choices of pairs of rows
IDLE = 0.95  # the processor's time over the clock's, below which a run is said to have been disturbed
RECHECKED = 2  # rounds that are compared with SciPy as well


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure has to reach."""

    limit: float
    at_least: bool = True

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value < self.limit

    def __str__(self) -> str:
        return f"{'at least' if self.at_least else 'below'} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; `times` are the seconds of the processor that it comes from."""

    name: str
    value: float
    unit: str
    against: str
    times: Mapping[str, list[float]] = field(default_factory=dict)

    @property
    def target(self) -> Target | None:
        return TARGETS.get(self.name)

    def as_json(self) -> str:
        return json.dumps({"name": self.name, "value": self.value, "unit": self.unit, "against": self.against})


TARGETS = {
    "ks_speedup_10k_1k_100": Target(40),
    "ks_with_p_speedup_10k_1k_100": Target(20),
    "ks_speedup_100k_1k_100": Target(150),
    "ks_merged_over_rows": Target(0.2, at_least=False),
    "mmd_speedup_1k_1k_20": Target(25),
    "mmd_speedup_5k_1k_20": Target(80),
    "mmd_fast_speedup_5k_1k_20": Target(1000),
    "mmd_fast_power_gap": Target(5, at_least=False),
    "mmd_peak_gib_50k": Target(2, at_least=False),
}

POWER = ("mmd_fast_power_gap", "mmd_exact_size", "mmd_fast_size")
"""Figures of `benchmarks.kernel_power`."""

TIMES = "times as fast"
KS_DRIFT = "alibi-detect 0.13 KSDrift.predict"
MMD_DRIFT = f"alibi-detect 0.13 MMDDrift.predict, pytorch on cpu, {PERMUTATIONS} permutations"


class Side:
    """A process that answers; see `benchmarks.wire`."""

    def __init__(self, python: Path, module: str) -> None:
        self.seconds = self.clock = 0.0
        """The processor's and the clock's, over all tests: apart where the machine had other things to do."""
        self._process = subprocess.Popen(
            [python, "-W", "ignore", "-m", f"benchmarks.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait()

    def ask(self, question: Answer, *arrays: Rows) -> Answer:
        send(self._process.stdin, question, arrays)  # type: ignore[arg-type]
        return receive(self._process.stdout)[0]  # type: ignore[arg-type]

    def fit(self, way: str, reference: Rows, **parameters: Any) -> None:
        self.ask({"do": "fit", "way": way, "parameters": parameters}, reference)

    def test(self, way: str, window: Rows) -> tuple[float, Answer]:
        """Seconds of the processor, and the answer."""
        answer = self.ask({"do": "test", "way": way}, window)
        self.seconds += answer["seconds"]
        self.clock += answer["clock"]
        return answer["seconds"], answer["answer"]


@dataclass(frozen=True, slots=True)
class Sides:
    """Both, and what people look at meanwhile."""

    ours: Side
    theirs: Side
    progress: Progress
    task: TaskID

    def step(self) -> None:
        self.progress.advance(self.task)

    def forget(self) -> None:
        self.ours.ask({"do": "forget"})
        self.theirs.ask({"do": "forget"})

    def rounds(
        self, windows: list[Rows], ways: list[str], their_way: str
    ) -> Iterator[tuple[Rows, Answer, list[Answer]]]:
        """The seconds and answer of theirs and of each of our ways for each window; the first warms up.

        Who is first changes from round to round.
        """
        for number, window in enumerate(windows):
            first = self.theirs.test(their_way, window) if number % 2 else None
            ours = [self.ours.test(way, window) for way in ways]
            theirs = first or self.theirs.test(their_way, window)
            self.step()
            timed = number > 0 or len(windows) == 1
            yield window, _timed(theirs, timed), [_timed(each, timed) for each in ours]


def _timed(measured: tuple[float, Answer], counts: bool) -> Answer:
    seconds, answer = measured
    return {**answer, "seconds": seconds if counts else None}


def _seconds(answers: list[Answer]) -> list[float]:
    return [answer["seconds"] for answer in answers if answer["seconds"] is not None]


def normal(seed: int, *shape: int) -> Rows:
    return np.random.default_rng(seed).normal(size=shape)


def windows_of(rounds: int, rows: int, features: int, shift: float) -> list[Rows]:
    """A warm-up and so many rounds: in every other window, one feature in ten has moved."""
    made = [normal(100 + number, rows, features) for number in range(rounds + 1)]
    for window in made[1::2]:
        window[:, ::10] += shift
    return made


def kolmogorov_smirnov(sides: Sides, rows: int, rounds: int, *, with_p: bool) -> Iterator[Figure]:
    """D and decision against their D, p-values and decision; and, if wanted, p-values as well."""
    features, window_rows = 100, 1000
    reference = normal(1, rows, features)
    sides.theirs.fit("kolmogorov_smirnov", reference)
    sides.ours.fit("kolmogorov_smirnov_decision", reference, window_rows=window_rows)
    sides.ours.fit("kolmogorov_smirnov", reference)
    their_answers, our_answers = [], []
    windows = windows_of(rounds, window_rows, features, shift=0.2)
    ways = ["kolmogorov_smirnov_decision", "kolmogorov_smirnov"]
    for number, (window, theirs, ours) in enumerate(sides.rounds(windows, ways, "kolmogorov_smirnov")):
        for answer in ours:
            np.testing.assert_allclose(answer["distance"], theirs["distance"], rtol=FLOAT32)
            assert answer["is_drift"] == bool(theirs["is_drift"])
        np.testing.assert_allclose(ours[1]["p_val"], theirs["p_val"], rtol=FLOAT32, atol=1e-38)
        if number < RECHECKED:
            assert_like_scipy(reference, window, ours)
        their_answers.append(theirs)
        our_answers.append(ours)
    decided = {bool(answer["is_drift"]) for answer in their_answers}
    assert rounds < 2 or decided == {True, False}, "agreeing on one kind of window only would say little"
    sides.forget()
    theirs_took = _seconds(their_answers)
    size = f"{rows // 1000}k_1k_100"
    yield _ratio(f"ks_speedup_{size}", theirs_took, _seconds([ours[0] for ours in our_answers]), KS_DRIFT)
    if with_p:
        yield _ratio(f"ks_with_p_speedup_{size}", theirs_took, _seconds([ours[1] for ours in our_answers]), KS_DRIFT)


def assert_like_scipy(reference: Rows, window: Rows, ours: list[Answer]) -> None:
    expected = [
        ks_2samp(reference[:, feature], window[:, feature], method="asymp") for feature in range(reference.shape[1])
    ]
    distances = [each.statistic for each in expected]
    for answer in ours:
        np.testing.assert_allclose(answer["distance"], distances, rtol=0, atol=DISTANCE_TOLERANCE)
    np.testing.assert_allclose(ours[1]["p_val"], [each.pvalue for each in expected], rtol=0, atol=P_VALUE_TOLERANCE)


def merging(sides: Sides, rounds: int) -> Iterator[Figure]:
    """Our own two ways: a window as ten merged summaries, and as rows."""
    sides.ours.fit("panes", normal(1, 10_000, 100))
    times: dict[str, list[float]] = {"rows": [], "with_merging": [], "merged": []}
    for number, window in enumerate(windows_of(rounds, 1000, 100, shift=0.2)):
        _, answer = sides.ours.test("panes", window)
        sides.step()
        for name, seconds in times.items():
            if number:
                seconds.append(answer[name])
    sides.forget()
    against = "our own summarise and test of the 1,000 x 100 rows"
    for name in ("merged", "with_merging"):
        share = round(median(times[name]) / median(times["rows"]), 4)
        taken = {"ours": times[name], "theirs": times["rows"]}
        yield Figure(f"ks_{name}_over_rows", share, "of the time", against, taken)


def maximum_mean_discrepancy(sides: Sides, rows: int, rounds: int, *, fast: bool) -> Iterator[Figure]:
    """The permutation test; and, if wanted, ours that needs none."""
    features, window_rows = 20, 1000
    reference = normal(2, rows, features)
    sides.theirs.fit("maximum_mean_discrepancy", reference, permutations=PERMUTATIONS)
    sides.ours.fit("maximum_mean_discrepancy", reference, permutations=PERMUTATIONS)
    ways = ["maximum_mean_discrepancy"]
    if fast:
        sides.ours.fit("fast_maximum_mean_discrepancy", reference)
        ways.append("fast_maximum_mean_discrepancy")
        sides.ours.test(ways[1], normal(99, window_rows, features))  # theirs takes too long to warm up more than once
    their_answers, our_answers = [], []
    windows = windows_of(rounds, window_rows, features, shift=0.5)
    for _, theirs, ours in sides.rounds(windows, ways, ways[0]):
        np.testing.assert_allclose(ours[0]["distance"], theirs["distance"], rtol=BANDWIDTHS, atol=1e-5)
        np.testing.assert_allclose(ours[0]["p_val"], theirs["p_val"], rtol=0, atol=CHANCE)
        if theirs["p_val"] == 0:  # nothing in all permutations came near: whoever tests has to see that
            assert all(answer["is_drift"] for answer in ours)
        their_answers.append(theirs)
        our_answers.append(ours)
    assert any(answer["p_val"] == 0 for answer in their_answers)
    sides.forget()
    theirs_took = _seconds(their_answers)
    size = f"{rows // 1000}k_1k_20"
    yield _ratio(f"mmd_speedup_{size}", theirs_took, _seconds([ours[0] for ours in our_answers]), MMD_DRIFT)
    if fast:
        ours_took = _seconds([ours[1] for ours in our_answers])
        yield _ratio(f"mmd_fast_speedup_{size}", theirs_took, ours_took, MMD_DRIFT)


def _ratio(name: str, theirs: list[float], ours: list[float], against: str) -> Figure:
    return Figure(name, round(median(theirs) / median(ours), 2), TIMES, against, {"ours": ours, "theirs": theirs})


def peak(sides: Sides) -> Iterator[Figure]:
    """In a process of its own, because the largest size of a process never shrinks."""
    command = [sys.executable, "-m", "benchmarks.side_ours", "peak", "50000", "20", str(PERMUTATIONS)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, check=True, stdout=subprocess.PIPE)
    sides.step()
    found = json.loads(done.stdout)
    against = f"50,000 and 50,000 rows x 20, {PERMUTATIONS} permutations; the kernel alone would be 75 GiB"
    yield Figure("mmd_peak_gib_50k", round(found["peak"] / 2**30, 3), "GiB", against)
    yield Figure("mmd_seconds_50k", round(found["seconds"], 1), "s", against, {"ours": [found["seconds"]]})


@dataclass(frozen=True, slots=True)
class Contest:
    """One measurement: what figures it gives, how many steps it takes, and how to do it."""

    figures: tuple[str, ...]
    steps: int
    run: Callable[[Sides], Iterator[Figure]]


def power(sides: Sides) -> Iterator[Figure]:
    """How often the kernel tests alarm; nothing is timed, so this needs neither side."""
    outcome = kernel_power.run(kernel_power.FULL, sides.progress)
    sides.step()
    windows = kernel_power.FULL.references * kernel_power.FULL.windows
    for found in kernel_power.figures(outcome):
        if found["name"] in POWER:
            against = f"{found['against']}; {windows} windows of each kind"
            yield Figure(found["name"], found["value"], found["unit"], against)


def contests() -> list[Contest]:
    return [
        Contest(
            ("ks_speedup_10k_1k_100", "ks_with_p_speedup_10k_1k_100"),
            12,
            lambda sides: kolmogorov_smirnov(sides, 10_000, 11, with_p=True),
        ),
        Contest(("ks_speedup_100k_1k_100",), 6, lambda sides: kolmogorov_smirnov(sides, 100_000, 5, with_p=False)),
        Contest(("ks_merged_over_rows", "ks_with_merging_over_rows"), 22, lambda sides: merging(sides, 21)),
        Contest(("mmd_speedup_1k_1k_20",), 6, lambda sides: maximum_mean_discrepancy(sides, 1000, 5, fast=False)),
        Contest(
            ("mmd_speedup_5k_1k_20", "mmd_fast_speedup_5k_1k_20"),
            3,
            lambda sides: maximum_mean_discrepancy(sides, 5000, 2, fast=True),
        ),
        Contest(("mmd_peak_gib_50k", "mmd_seconds_50k"), 1, peak),
        Contest(POWER, 1, power),
    ]


def environment() -> Path:
    """alibi-detect's interpreter; says how to make it, and leaves, where there is none."""
    chosen = Path(os.environ.get("ALIBI_ENVIRONMENT", ROOT / ".venv-alibi")) / "bin" / "python"
    if not chosen.exists():
        sys.exit(f"no alibi-detect at {chosen}; make it with: make alibi (or set ALIBI_ENVIRONMENT to where it is)")
    return chosen


def run(only: list[str]) -> None:
    """Measure, print, and write the results."""
    known = {name for contest in contests() for name in contest.figures}
    if unknown := set(only) - known:
        sys.exit(f"no figure {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    chosen = [contest for contest in contests() if not only or set(only) & set(contest.figures)]
    theirs = environment()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with (
        Progress(*columns, console=Console(stderr=True)) as progress,
        Side(Path(sys.executable), "side_ours") as ours,
        Side(theirs, "side_alibi") as alibi,
    ):
        task = progress.add_task("starting both sides", total=sum(contest.steps for contest in chosen))
        sides = Sides(ours, alibi, progress, task)
        machine = described(ours.ask({"do": "describe"}), alibi.ask({"do": "describe"}))
        figures = []
        for contest in chosen:
            progress.update(task, description=contest.figures[0])
            figures += list(contest.run(sides))
            machine["processor_share_of_clock"] = shares(ours, alibi)
            if not only:  # a long run that is ended loses what it has not measured yet, and nothing else
                path = written(figures, machine)
    figures = [figure for figure in figures if not only or figure.name in only]
    show(figures, machine)
    for figure in figures:
        print(figure.as_json())
    if not only:
        print(f"written {path}", file=sys.stderr)


def shares(ours: Side, theirs: Side) -> Answer:
    """The processor's time over the clock's."""
    named = (("ours", ours), ("theirs", theirs))
    return {name: round(side.seconds / side.clock, 3) for name, side in named if side.clock}


def described(ours: Answer, theirs: Answer) -> Answer:
    """The machine without names: what another run has to be compared with."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "numpy_without": os.environ.get("NPY_DISABLE_CPU_FEATURES", ""),
        "ours": ours,
        "theirs": theirs,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def show(figures: list[Figure], machine: Answer) -> None:
    """The table for people."""
    without = f", numpy without {machine['numpy_without']}" if machine["numpy_without"] else ""
    table = Table(title=f"{machine['processor']}, {machine['cores']} cores, one thread each, no GPU{without}")
    for column in ("figure", "ours", "the other way", "reached", "target", ""):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for figure in figures:
        times = [
            f"{1e3 * median(figure.times[side]):,.2f} ms" if side in figure.times else "" for side in ("ours", "theirs")
        ]
        target = figure.target
        verdict = "" if target is None else "met" if target.met(figure.value) else "[bold]not met[/]"
        table.add_row(figure.name, *times, f"{figure.value:g} {figure.unit}", str(target or ""), verdict)
    Console(width=140).print(table)
    for side, share in machine["processor_share_of_clock"].items():
        if share < IDLE:
            print(f"The machine was busy: {side} had the processor {share:.0%} of the time. Its time is what counts.")


def written(figures: list[Figure], machine: Answer) -> Path:
    """One file a machine, rewritten by each whole run."""
    words = "".join(
        letter if letter.isalnum() else " " for letter in f"{machine['processor']} {machine['cores']} cores"
    )
    fewer = "-fewer-instructions" if machine["numpy_without"] else ""
    path = RESULTS / f"detectors-{'-'.join(words.lower().split())}{fewer}.json"
    RESULTS.mkdir(exist_ok=True)
    listed = [
        {
            "name": figure.name,
            "value": figure.value,
            "unit": figure.unit,
            "against": figure.against,
            "target": None if figure.target is None else str(figure.target),
            "met": None if figure.target is None else figure.target.met(figure.value),
            "seconds": {side: [round(each, 7) for each in seconds] for side, seconds in figure.times.items()},
        }
        for figure in figures
    ]
    measured = datetime.now(UTC).date().isoformat()
    path.write_text(json.dumps({"machine": machine, "measured": measured, "figures": listed}, indent=1) + "\n")
    return path
