"""Runs the demonstration from start to end."""

import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from service.demo import story
from service.demo.flights import MODEL, WINDOW_ROWS, Flights, load
from service.demo.plot import draw
from service.demo.replay import Document, Pod
from service.demo.service_process import running_service

_PLAIN_WIDTH = 120  # columns, where nobody's terminal says otherwise


def demonstrate(*, serve: bool, plot: Path | None) -> bool:
    """Whether the week that really drifted was found."""
    console = Console(width=None if os.isatty(1) else _PLAIN_WIDTH)
    console.print("A model predicts whether the next flight from LaGuardia will be late. Driftwarden watches.")
    reference, later = load()
    # Nobody but the demonstration calls it, wherever the environment would have it listen.
    alone = {"DRIFT_HTTP__HOST": "127.0.0.1", "DRIFT_AUTHENTICATION__MODE": "none"}
    with (
        tempfile.TemporaryDirectory(prefix="driftwarden-demo-") as directory,
        running_service(Path(directory), **alone) as url,
    ):
        console.print(f"The service runs at {url}.")
        # A store of the user's own may hold an earlier demonstration.
        model = f"{MODEL}-{uuid4().hex[:6]}" if "DRIFT_STORE__URL" in os.environ else MODEL
        with closing(Pod(url, model)) as pod:
            verdicts = _conversation(console, pod, reference, later)
        story.timeline(console, verdicts, later.features)
        found = story.findings(console, verdicts)
        story.actions(console, verdicts)
        if plot is not None:
            draw(verdicts, later.features, plot)
            console.print(f"The picture is in {plot}.")
        command = story.command_as_typed(sys.argv[0], Path.cwd(), os.environ.get("PATH", ""))
        story.next_steps(console, url if serve else None, model, command)
        if serve:
            _wait_for_interruption()
    return found


def _conversation(console: Console, pod: Pod, reference: Flights, later: Flights) -> Sequence[Document]:
    with console.status(f"registering {len(reference.rows):,} departures of January to March as the reference"):
        registration = pod.register(reference)
    ready = registration["readiness"]
    rate, (lower, upper) = ready["false_alarm_rate"], ready["false_alarm_interval"]
    console.print(
        f"Reference: {registration['reference_rows']:,} departures, {len(registration['features'])} features, in "
        f"{ready['blocks']} calm blocks of {ready['window_rows']}; judged by the others, {rate:.1%} of these would "
        f"have alarmed (95 % interval {lower:.1%} to {upper:.1%})."
    )
    expected = len(later.rows) // WINDOW_ROWS
    columns = (TextColumn("{task.description:<36}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        sending = progress.add_task("replaying April and May over HTTP", total=len(later.rows))
        judging = progress.add_task("windows judged", total=expected)
        for rows in pod.observe(later):
            progress.advance(sending, rows)
        verdicts: Sequence[Document] = []
        for verdicts in pod.verdicts_as_they_come(expected):
            progress.update(judging, completed=len(verdicts))
    return verdicts


def _wait_for_interruption() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        return
