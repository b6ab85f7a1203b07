"""What the demonstration shows: the timeline, what was found, the Job, and where to go from here."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table

from service.demo.flights import FURLOUGHS
from service.demo.replay import Document

_STYLES = {"DRIFT": "bold red", "STABLE": "green", "UNDECIDED": "yellow"}
_WIDE = 110  # columns
_KERNEL = "maximum_mean_discrepancy"


def overlaps_furloughs(verdict: Document) -> bool:
    """Whether a window touches the week that was different."""
    started, ended = datetime.fromisoformat(verdict["started_at"]), datetime.fromisoformat(verdict["ended_at"])
    return started < FURLOUGHS[1] and ended >= FURLOUGHS[0]


def timeline(console: Console, verdicts: Sequence[Document], features: Sequence[str]) -> None:
    """One line a window."""
    narrow = console.width < _WIDE
    title = "Windows of 300 departures: distance to January-March (KS: 0 to 1; MMD²: around 0 without a difference)"
    table = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    table.add_column("", justify="right")
    table.add_column("first row, UTC", no_wrap=True)
    table.add_column("rows", justify="right")
    for index, feature in enumerate(features):
        title = f"[{index + 1}]" if narrow else "KS\n" + feature.replace("_", "\n")
        table.add_column(escape(title), justify="right")
    table.add_column("MMD²", justify="right")
    table.add_column("p", justify="right")
    table.add_column("finding")
    table.add_column("", no_wrap=not narrow)
    for verdict in verdicts:
        finding = verdict["finding"]
        table.add_row(
            str(verdict["number"]),
            datetime.fromisoformat(verdict["started_at"]).strftime("%d %b %H:%M"),
            str(verdict["rows"]),
            *_measurements(verdict),
            "" if verdict["p_value"] is None else f"{verdict['p_value']:.3f}",
            f"[{_STYLES[finding]}]{finding}[/]",
            _remark(verdict),
        )
    console.print(table)
    if narrow:
        names = (escape(f"[{index + 1}] {feature}") for index, feature in enumerate(features))
        console.print("KS of " + ", ".join(names))


def _measurements(verdict: Document) -> list[str]:
    cells = []
    for detector in verdict["detectors"]:
        for measurement in detector["features"]:
            text = (
                f"{measurement['statistic']:.3f}"
                if detector["detector"] == _KERNEL
                else f"{measurement['statistic']:.2f}"
            )
            cells.append(f"[bold red]{text}[/]" if measurement["drifted"] else text)
    return cells


def _remark(verdict: Document) -> str:
    remarks = ["furloughs"] if overlaps_furloughs(verdict) else []
    if verdict["action"] is not None:
        remarks.append("→ retraining")
    return " ".join(remarks)


def findings(console: Console, verdicts: Sequence[Document]) -> bool:
    """Say what was found and what was not; whether the week that really drifted was found."""
    drifted = [verdict for verdict in verdicts if verdict["finding"] == "DRIFT"]
    furloughed = [verdict for verdict in verdicts if overlaps_furloughs(verdict)]
    found = [verdict for verdict in drifted if overlaps_furloughs(verdict)]
    others = [verdict for verdict in drifted if not overlaps_furloughs(verdict)]
    days = ", ".join(datetime.fromisoformat(verdict["started_at"]).strftime("%d %B") for verdict in others)
    calm = len(verdicts) - len(furloughed)
    lines = [
        "From 21 to 27 April 2013 air traffic controllers were on furlough, and aircraft waited on the ground.",
        f"[bold]Found:[/] DRIFT in {len(found)} of the {len(furloughed)} windows that touch that week.",
        f"[bold]Besides:[/] {len(others)} of the other {calm} windows alarmed" + (f" ({days})." if others else "."),
        "The plan asks for at most 5 % of calm windows. Two of three windows must agree before anything is started,",
        "so a single odd day starts nothing.",
    ]
    console.print(Panel("\n".join(lines), title="What was found", title_align="left"))
    return bool(found)


def actions(console: Console, verdicts: Sequence[Document]) -> None:
    """Show the Job."""
    for verdict in verdicts:
        action = verdict["action"]
        if action is None:
            continue
        dry = action["outcome"] == "DRY_RUN"
        said = "would be created (dry run: no cluster is configured)" if dry else f"{action['outcome'].lower()}"
        title = f"After window {verdict['number']}: {action['kind'] or 'action'} {action['name']} {said}"
        shown = (
            Syntax(action["detail"], "yaml", background_color="default") if dry else action["detail"] or action["name"]
        )
        console.print(Panel(shown, title=title, title_align="left"))


def next_steps(console: Console, url: str | None, model: str) -> None:
    """Where to go from here."""
    lines = (
        [
            f"The service is running at {url} (Ctrl-C ends it):",
            f"  curl {url}/v1/models/{model}/verdicts?limit=1",
            f"  curl {url}/metrics",
            f"  API documentation: {url}/docs",
        ]
        if url is not None
        else [
            "driftwarden demo --serve            the same, and leaves the service running for you to look at",
            "driftwarden demo --plot demo.png    the same as a picture",
            "driftwarden serve                   your own model: PUT a reference, POST observations (README.md)",
            "DRIFT_TRIGGER__KIND=kubernetes driftwarden demo    create the Job in your current cluster",
        ]
    )
    console.print(Panel("\n".join(lines), title="What to try next", title_align="left"))
