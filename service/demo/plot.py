"""The timeline as a picture."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from click import ClickException

from service.demo.flights import FURLOUGHS
from service.demo.replay import Document


def draw(verdicts: Sequence[Document], features: Sequence[str], path: Path) -> None:
    """Write the picture; its format follows from the file's ending."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise ClickException("plots need matplotlib: pip install 'driftwarden[plot]'") from error
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    times = [_middle(verdict) for verdict in verdicts]
    for axes in (top, bottom):
        axes.axvspan(*FURLOUGHS, color="0.88", label="controllers on furlough" if axes is top else None)
        axes.spines[["top", "right"]].set_visible(False)
    for index, feature in enumerate(features):
        values = [verdict["detectors"][0]["features"][index]["statistic"] for verdict in verdicts]
        top.plot(times, values, linewidth=1.3, label=feature.replace("_", " "))
    bottom.plot(times, [_kernel(verdict) for verdict in verdicts], color="0.2", linewidth=1.3)
    drifted = [verdict for verdict in verdicts if verdict["finding"] == "DRIFT"]
    style = {"color": "crimson", "zorder": 3, "s": 36}
    bottom.scatter([_middle(v) for v in drifted], [_kernel(v) for v in drifted], label="DRIFT", **style)
    for verdict in verdicts:
        if verdict["action"] is not None:
            at = _middle(verdict)
            bottom.annotate(
                "retraining Job", (at, _kernel(verdict)), (at, 0.36), ha="center", arrowprops={"arrowstyle": "->"}
            )
    top.set_ylabel("Kolmogorov-Smirnov D")
    bottom.set_ylabel("MMD²")
    bottom.set_ylim(top=0.42)
    top.set_title("Departures from LaGuardia, April and May 2013, against January to March", loc="left")
    top.legend(loc="upper right", fontsize="small", ncols=2, frameon=False)
    bottom.legend(loc="upper right", fontsize="small", frameon=False)
    figure.savefig(path, dpi=110)


def _middle(verdict: Document) -> datetime:
    started, ended = datetime.fromisoformat(verdict["started_at"]), datetime.fromisoformat(verdict["ended_at"])
    return started + (ended - started) / 2


def _kernel(verdict: Document) -> float:
    return float(verdict["detectors"][1]["features"][0]["statistic"])
