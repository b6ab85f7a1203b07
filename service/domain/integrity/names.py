"""Which names of files a signature may speak of, so that it means the same tree wherever it is unpacked."""

import unicodedata
from collections.abc import Collection, Iterable

WHOLE = "."
"""The name of an artifact that is a single file, as the standard spells it."""
_MAXIMUM_BYTES = 4096
_MAXIMUM_PART_BYTES = 255
_MAXIMUM_FOLDERS = 2**20
"""In all paths together: every one takes memory while twins are looked for."""
_SHOWN = 300
"""Characters of a name that is at fault: it may be megabytes."""


def fault_of_names(names: Collection[str]) -> str | None:
    """Why no signature may speak of these files together, if it may not."""
    if set(names) == {WHOLE}:
        return None
    if sum(name.count("/") for name in names) > _MAXIMUM_FOLDERS:
        return f"their paths name more than {_MAXIMUM_FOLDERS:,} folders"
    for name in names:
        fault = _fault(name)
        if fault is not None:
            return f"a file's name {fault}: {shown(name[:_SHOWN])}"
    twins = _twins(names)
    if twins is not None:
        return f"some file systems hold two names to be one, {shown(twins[0])} and {shown(twins[1])}: rename one"
    doubled = _both_file_and_folder(names)
    return None if doubled is None else f"a name is a file's and a folder's: {shown(doubled)}"


def _fault(name: str) -> str | None:
    """What is wrong with a path below the artifact's folder, if anything is."""
    if name.startswith("/"):
        return "is absolute"
    parts = name.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        return "has an empty part, or one that is . or .."
    if "\\" in name or any(unicodedata.category(character) == "Cc" for character in name):
        return "has a backslash or a control character"
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        return "is not Unicode"
    if max(sizes) > _MAXIMUM_PART_BYTES or sum(sizes) + len(sizes) > _MAXIMUM_BYTES:
        return "is longer than file systems take"
    return None


def _twins(names: Iterable[str]) -> tuple[str, str] | None:
    """Two paths, of files or folders, that file systems without case, or with one Unicode form, hold to be one."""
    # By folder and part, not by whole paths: of deep trees these would be many times what the names are.
    seen: dict[tuple[int, str], tuple[int, str]] = {}
    for name in names:
        folder, parts = 0, name.split("/")
        for number, part in enumerate(parts):
            folder, first = seen.setdefault((folder, _folded(part)), (len(seen) + 1, part))
            if first != part:
                return "/".join([*parts[:number], first]), "/".join(parts[: number + 1])
    return None


def _folded(part: str) -> str:
    """The same for parts that some file system holds to be the same."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", part).casefold())


def _both_file_and_folder(names: Iterable[str]) -> str | None:
    """A name that another one has as its folder."""
    known = set(names)
    for name in known:
        parts = name.split("/")
        for end in range(1, len(parts)):
            folder = "/".join(parts[:end])
            if folder in known:
                return folder
    return None


def shown(name: str) -> str:
    """For a message: without anything that a terminal or a log would obey."""
    return "".join(_shown(character) for character in name)


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
