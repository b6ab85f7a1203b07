"""A bar on a terminal while files are read; nothing where nobody looks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn


@contextmanager
def shown_progress(words: str) -> Iterator[Callable[[int], None]]:
    """Gives what is told how many bytes were read; on standard error, and gone afterwards."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(words, total=None)
        yield lambda count: progress.advance(task, count)
