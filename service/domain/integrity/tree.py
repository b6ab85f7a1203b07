"""What is on a disk, held against what was signed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from service.domain.errors import ArtifactTampered, UnsignableArtifact
from service.domain.integrity.names import fault_of_names, shown
from service.domain.integrity.statement import Statement

_NAMED = 20
"""Of many differences, so many are named."""


class Sort(Enum):
    """Of what has a name in a folder."""

    FILE = "file"
    LINK = "symbolic link"
    SPECIAL = "neither file nor folder"
    EMPTY_FOLDER = "folder without anything in it"


@dataclass(frozen=True, slots=True)
class Found:
    """One of them, by its path below the artifact's folder."""

    name: str
    sort: Sort
    size: int = 0
    """Bytes, of a file."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Between a tree and its signature."""

    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    refused: tuple[Found, ...] = ()
    """What no signature can speak of."""

    def __bool__(self) -> bool:
        return bool(self.changed or self.missing or self.extra or self.refused)

    def raise_if_any(self) -> None:
        """Raises `ArtifactTampered`."""
        if self:
            extra = tuple(sorted((*self.extra, *(found.name for found in self.refused))))
            raise ArtifactTampered(
                f"the files are not those that were signed:\n  {self}", self.changed, self.missing, extra
            )

    def __str__(self) -> str:
        lines = [
            *(f"changed: {shown(name)}" for name in self.changed),
            *(f"missing: {shown(name)}" for name in self.missing),
            *(f"not signed: {shown(name)}" for name in self.extra),
            *(f"{found.sort.value}: {shown(found.name)}" for found in self.refused),
        ]
        more = len(lines) - _NAMED
        return "\n  ".join([*lines[:_NAMED], *([f"and {more:,} more"] if more > 0 else [])])


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of names alone, before any file is read."""

    present: tuple[str, ...]
    """Files that are signed and there."""
    ignored: tuple[str, ...]
    """Files that the signer looked away from, where that is allowed."""
    difference: Difference

    def with_digests(self, statement: Statement, digests: Mapping[str, str]) -> Difference:
        """Also of what is in the files."""
        names = self.difference
        changed = tuple(name for name in self.present if digests[name] != statement.digests[name])
        return Difference(changed, names.missing, names.extra, names.refused)


def compared(statement: Statement, tree: Iterable[Found], *, allow_ignored: bool) -> Comparison:
    """Every order of the tree gives the same."""
    entries = sorted(tree, key=lambda found: found.name)
    ignored = tuple(found for found in entries if allow_ignored and statement.ignores(found.name))
    passed = {found.name for found in ignored} - statement.digests.keys()
    files = {found.name for found in entries if found.sort is Sort.FILE and found.name not in passed}
    refused = tuple(found for found in entries if found.sort is not Sort.FILE and found.name not in passed)
    signed = statement.digests.keys()
    missing, extra = tuple(sorted(signed - files)), tuple(sorted(files - signed))
    return Comparison(tuple(sorted(files & signed)), tuple(sorted(passed)), Difference((), missing, extra, refused))


def signable(tree: Sequence[Found]) -> list[str]:
    """The names of the files. Raises `UnsignableArtifact` if a signature would not tell of everything that is there."""
    refused = Difference(refused=tuple(found for found in tree if found.sort is not Sort.FILE))
    if refused:
        raise UnsignableArtifact(f"a signature cannot tell of everything here; remove:\n  {refused}")
    names = [found.name for found in tree]
    fault = fault_of_names(names) if names else "there is no file"
    if fault is not None:
        raise UnsignableArtifact(f"these files cannot be signed: {fault}")
    return names
