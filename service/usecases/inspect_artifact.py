"""Look at every file of an artifact: which of them run code when they are loaded."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from service.domain.integrity.contents.content import Look, unknown
from service.domain.integrity.contents.look import look
from service.domain.integrity.inventory import Inventory, inventory
from service.domain.integrity.tree import Found, Sort

if TYPE_CHECKING:  # the other ports bring NumPy and SciPy, and a container waits for this command before it starts
    from service.ports import ArtifactContents


def inspect_artifact(files: "ArtifactContents", looked_at: Callable[[int], None] = lambda _: None) -> Inventory:
    """Blocks while some MiB of every file are read. Is told of each file's size. Raises `ArtifactUnreadable`."""
    looks = {}
    for found in files.found():
        if found.sort is not Sort.EMPTY_FOLDER:
            looks[found.name] = _look(files, found)
            looked_at(found.size)
    return inventory(looks)


def _look(files: "ArtifactContents", found: Found) -> Look:
    if found.sort is not Sort.FILE:
        return unknown(f"{found.sort.value}, which is not followed" if found.sort is Sort.LINK else found.sort.value)
    with files.opened(found.name) as source:
        return look(source, found.name)
