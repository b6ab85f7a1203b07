"""`driftwarden inspect`: which files of an artifact run code when they are loaded."""

import json
from pathlib import Path

import click

from service.adapters.artifacts.file_tree import FileTree
from service.domain.errors import ContentRefused
from service.domain.integrity.contents.content import Content
from service.domain.integrity.inventory import ContentPolicy, Inspected, Inventory, refuse
from service.domain.integrity.names import shown
from service.hashing_progress import shown_progress
from service.usecases.inspect_artifact import inspect_artifact


def inspect(path: Path, refuses: Content | None, *, as_json: bool) -> str:
    """What to say of it. Raises `ClickException` after having said it, where a file is refused."""
    with shown_progress(path) as progress:
        found = inspect_artifact(FileTree(path), progress)
    said = _in_json(found) if as_json else _told(found)
    try:
        if refuses is not None:
            refuse(found, ContentPolicy(refuses))
    except ContentRefused as error:
        click.echo(said)
        raise click.ClickException(f"{path} is refused: {error}") from error
    return said


def _told(found: Inventory) -> str:
    width = max((len(shown(file.name)) for file in found.files), default=0)
    lines = [f"{file.look.content:<7}  {shown(file.name):<{width}}  {file.look.form}" for file in found.files]
    counts = ", ".join(f"{count:,} {content}" for content, count in found.counts.items())
    return "\n".join([*lines, f"files: {len(found.files):,} ({counts})"])


def _in_json(found: Inventory) -> str:
    return json.dumps({"counts": found.counts, "files": [_file(file) for file in found.files]}, indent=2)


def _file(file: Inspected) -> dict[str, str]:
    return {"name": shown(file.name), "content": file.look.content, "form": file.look.form}
