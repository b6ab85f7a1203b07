"""The comparison of `benchmarks.decisions` as pictures for docs/decisions.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

BUDGET_COLOUR, OURS_COLOUR, OTHERS_COLOUR = "#c0392b", "#1f6fb2", "#8a8f98"


def plot(folder: Path, compared: Sequence[Mapping[str, Any]], once_in: Mapping[str, Any], budget: float) -> None:
    """Write `decisions-procedures.png` and `decisions-evidence.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    _procedures(folder / "decisions-procedures.png", compared, 1000 / budget)
    _evidence(folder / "decisions-evidence.png", once_in, budget)


def _procedures(path: Path, compared: Sequence[Mapping[str, Any]], allowed: float) -> None:
    panels = {
        "independent_per_1000": "alarms in 1000 calm windows\nindependent rows, 100 features",
        "autoregressive_per_1000": "alarms in 1000 calm windows\nAR(1) 0.9, 20 features",
        "shift_found": "share of shifts by 0.5 found\nwithin 20 windows",
        "slow drift_delay": "windows until a drift of 0.01\na window is found (median)",
    }
    names = [row["procedure"] for row in compared]
    figure, axes = plt.subplots(1, len(panels), figsize=(15, 4.6), sharey=True)
    for axis, (column, title) in zip(axes, panels.items(), strict=True):
        values = [row[column] for row in compared]
        colours = [OURS_COLOUR if "ours" in name else OTHERS_COLOUR for name in names]
        axis.barh(names, [0 if value is None else value for value in values], color=colours)
        for place, value in enumerate(values):
            axis.text(
                0 if value is None else value, place, f" {'never' if value is None else f'{value:g}'}", va="center"
            )
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.25)
        if column.endswith("per_1000"):
            axis.set_xscale("symlog", linthresh=1)
            axis.axvline(allowed, color=BUDGET_COLOUR, linewidth=1)
    axes[0].invert_yaxis()
    figure.suptitle("Ways to hold one false alarm in 1000 windows (red: the budget)", fontsize=12)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _evidence(path: Path, once_in: Mapping[str, Any], budget: float) -> None:
    figure, axes = plt.subplots(1, len(once_in), figsize=(15, 3.6), sharey=True)
    for axis, (title, numbers) in zip(axes, once_in.items(), strict=True):
        axis.plot(range(1, len(numbers) + 1), [min(each, 1e9) for each in numbers], color=OURS_COLOUR)
        axis.axhline(budget, color=BUDGET_COLOUR, linewidth=1)
        axis.set_yscale("log")
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("window")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("calm windows gather as much\nevidence once in so many windows")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
