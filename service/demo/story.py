"""What the demonstration shows: the timeline, what was found, the Job, and where to go from here."""

import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from service.demo.flights import FURLOUGHS, WINDOW_ROWS
from service.demo.replay import Document

_STYLES = {"DRIFT": "bold red", "STABLE": "green", "UNDECIDED": "yellow"}
_ANY_WIDTH = 10_000
_NAIVE_RATE = 0.05
_KERNEL = "maximum_mean_discrepancy"
TITLE = (
    f"Windows of {WINDOW_ROWS} departures: distance to January to March\n"
    "(KS: 0 to 1; MMD²: around 0 if nothing differs; p: of the whole window;\n"
    "!: the usual test, as if rows were independent, alarms at 5 %)"
)


def overlaps_furloughs(verdict: Document) -> bool:
    """Whether a window touches the week that was different."""
    started, ended = datetime.fromisoformat(verdict["started_at"]), datetime.fromisoformat(verdict["ended_at"])
    return started < FURLOUGHS[1] and ended >= FURLOUGHS[0]


def alarms_naively(verdict: Document) -> bool:
    """Whether p-values for independent rows, corrected for their number (Bonferroni), say that it drifted."""
    chances = [each["p_value"] for detector in verdict["detectors"] for each in detector["features"]]
    measured = [chance for chance in chances if chance is not None]
    return bool(measured) and min(measured) * len(chances) <= _NAIVE_RATE


def timeline(console: Console, verdicts: Sequence[Document], features: Sequence[str]) -> None:
    """One line a window where the terminal is wide enough, two where it is not; never less than all of it."""
    console.print(TITLE)
    named = _table(verdicts, [feature.replace("_", "\n") for feature in features], gap=1)
    if _fits(console, named):
        console.print(named)
        return
    legend = ", ".join(f"[{number}] {feature}" for number, feature in enumerate(features, 1))
    console.print(f"KS of {legend}", markup=False)
    numbered = _table(verdicts, [f"[{number}]" for number in range(1, len(features) + 1)], gap=0)
    if _fits(console, numbered):
        console.print(numbered)
    else:
        _two_lines_each(console, verdicts)


def _fits(console: Console, table: Table) -> bool:
    return Measurement.get(console, console.options.update(width=_ANY_WIDTH), table).maximum <= console.width


def _table(verdicts: Sequence[Document], headings: Sequence[str], gap: int) -> Table:
    table = Table(box=box.SIMPLE, padding=(0, gap, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("from, UTC", no_wrap=True)
    for heading in headings:
        table.add_column(escape(heading), justify="right", no_wrap=True)
    table.add_column("MMD²", justify="right", no_wrap=True)
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("finding", no_wrap=True)
    table.add_column("", no_wrap=True)
    for verdict in verdicts:
        numbers = map(Text.from_markup, _measurements(verdict))
        mark = "!" if alarms_naively(verdict) else " "
        judged = (_p(verdict), f"{mark}{_finding(verdict)}", _remark(verdict))
        table.add_row(str(verdict["number"]), _started(verdict), *numbers, *judged)
    return table


def _two_lines_each(console: Console, verdicts: Sequence[Document]) -> None:
    """What does not fit into one line; left to the terminal to break where even two do not suffice."""
    for verdict in verdicts:
        remark = _remark(verdict)
        chance = f"p {_p(verdict)}" if _p(verdict) else ""
        chance += " !" if alarms_naively(verdict) else ""
        head = (f"{verdict['number']:>2}", _started(verdict), _finding(verdict), chance, remark)
        console.print("  ".join(filter(None, head)), soft_wrap=True)
        *distances, kernel = _measurements(verdict)
        console.print(f"    KS {' '.join(distances)}  MMD² {kernel}", soft_wrap=True)


def _started(verdict: Document) -> str:
    return datetime.fromisoformat(verdict["started_at"]).strftime("%d %b %H:%M")


def _finding(verdict: Document) -> str:
    return f"[{_STYLES[verdict['finding']]}]{verdict['finding']}[/]"


def _p(verdict: Document) -> str:
    return "" if verdict["p_value"] is None else f"{verdict['p_value']:.3f}"


def _measurements(verdict: Document) -> list[str]:
    """Each feature's distance, then that of all together; the drifted ones in red."""
    cells = []
    for detector in verdict["detectors"]:
        digits = 3 if detector["detector"] == _KERNEL else 2
        for measurement in detector["features"]:
            text = f"{measurement['statistic']:.{digits}f}"
            cells.append(f"[bold red]{text}[/]" if measurement["drifted"] else text)
    return cells


def _remark(verdict: Document) -> str:
    remarks = ["furloughs"] if overlaps_furloughs(verdict) else []
    if verdict["action"] is not None:
        remarks.append("→ Job")
    return " ".join(remarks)


def findings(console: Console, verdicts: Sequence[Document]) -> bool:
    """Say what was found and what was not; whether the week that really drifted was found."""
    drifted = [verdict for verdict in verdicts if verdict["finding"] == "DRIFT"]
    furloughed = [verdict for verdict in verdicts if overlaps_furloughs(verdict)]
    found = [verdict for verdict in drifted if overlaps_furloughs(verdict)]
    others = [verdict for verdict in drifted if not overlaps_furloughs(verdict)]
    days = ", ".join(datetime.fromisoformat(verdict["started_at"]).strftime("%d %B") for verdict in others)
    calm = len(verdicts) - len(furloughed)
    naive = sum(alarms_naively(verdict) and not overlaps_furloughs(verdict) for verdict in verdicts)
    lines = [
        "From 21 to 27 April 2013 air traffic controllers were on furlough, and aircraft waited on the ground.",
        f"[bold]Found:[/] DRIFT in {len(found)} of the {len(furloughed)} windows that touch that week.",
        f"[bold]Besides:[/] {len(others)} of the other {calm} windows alarmed" + (f" ({days})." if others else "."),
        "The plan asks for at most 5 % of calm windows.",
        f"[bold]The usual test[/] at 5 % (Bonferroni, as if rows were independent): {naive} of these {calm} windows.",
        "Two of three windows must agree before anything is started, so a single odd day starts nothing.",
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
        title = f"{action['kind'] or 'action'} {action['name']}"
        console.print(f"\nAfter window {verdict['number']}, a {title} {said}:", markup=False, highlight=False)
        shown = (
            Syntax(action["detail"], "yaml", background_color="default", word_wrap=True)
            if dry
            else action["detail"] or action["name"]
        )
        console.print(Panel(shown))


def next_steps(console: Console, url: str | None, model: str, command: str) -> None:
    """Where to go from here; nothing around the lines, and nothing broken, so that they can be copied."""
    console.print("\n[bold]What to try next[/]")
    for line in _served(url, model) if url is not None else _alone(command):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _served(url: str, model: str) -> Sequence[str]:
    return (
        f"The service is running at {url} (Ctrl-C ends it):",
        f"  curl '{url}/v1/models/{model}/verdicts?limit=1'",
        f"  curl '{url}/metrics'",
        f"  API documentation: {url}/docs",
    )


def _alone(command: str) -> Sequence[str]:
    return (
        f"  {command} demo --serve",
        "      the same, and leaves the service running for you to look at",
        f"  {command} demo --plot demo.png",
        "      the same as a picture",
        f"  {command} serve",
        "      your own model: PUT a reference, POST observations (README.md)",
        f"  DRIFT_TRIGGER__KIND=kubernetes DRIFT_TRIGGER__VETTING=advisory {command} demo",
        "      create the Job in your current cluster; its image is a placeholder, so it waits until you put in yours:",
        "      DRIFT_TRIGGER__TEMPLATE=job.yaml (deploy/README.md)",
    )


def command_as_typed(program: str, directory: Path, search_path: str) -> str:
    """How `driftwarden` is called from `directory`: by its name only where the shell would find this very one."""
    started = Path(program)
    found = shutil.which(started.name, path=search_path)
    if found is not None and Path(found).resolve() == started.resolve():
        return started.name
    if not started.is_absolute():
        started = directory / started
    return str(started.relative_to(directory)) if started.is_relative_to(directory) else str(started)
