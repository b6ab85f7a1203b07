"""A bar on a terminal while files are read; nothing where nobody looks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from service.adapters.artifacts.file_tree import FileTree
from service.domain.integrity.names import shown


@contextmanager
def shown_progress(path: Path) -> Iterator[Callable[[int], None]]:
    """Gives what is told how many bytes were read; on standard error, and gone afterwards."""
    console = Console(stderr=True)
    total = sum(found.size for found in FileTree(path).found()) if console.is_terminal else None
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=total is None) as progress:
        task = progress.add_task(f"reading {shown(path.name)}", total=total)
        yield lambda count: progress.advance(task, count)
