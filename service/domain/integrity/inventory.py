"""What an artifact is made of: the content of every file, and which of them a policy refuses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from service.domain.errors import ContentRefused
from service.domain.integrity.contents.content import Content, Look, data
from service.domain.integrity.names import shown

_NAMED = 20
"""Of many files that are refused, so many are named."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """A file and what it is."""

    name: str
    look: Look


@dataclass(frozen=True, slots=True)
class Inventory:
    """Of an artifact, the worst first."""

    files: Sequence[Inspected]

    @property
    def counts(self) -> Mapping[Content, int]:
        """Of each content, the worst first."""
        return {
            content: sum(file.look.content is content for file in self.files)
            for content in sorted(Content, key=lambda content: -content.rank)
        }


@dataclass(frozen=True, slots=True)
class ContentPolicy:
    """Which contents an artifact must not have: this one, and what is worse."""

    refuses: Content

    @property
    def words(self) -> str:
        return _WORDS[self.refuses]


DATA_ONLY = ContentPolicy(Content.UNKNOWN)
_WORDS = {
    Content.CODE: "files that run code when they are loaded",
    Content.MAY: "files that run code when they are loaded, or may",
    Content.UNKNOWN: "files that are not known to be data",
}


def inventory(looks: Mapping[str, Look]) -> Inventory:
    """By the path below the artifact's folder. Raw numbers that an ONNX model reads from a file beside it are known."""
    numbers = {_beside(name, external) for name, look in looks.items() for external in look.external}
    known = {
        name: replace(data("numbers of an ONNX model"), external=look.external)
        if name in numbers and look.content is Content.UNKNOWN
        else look
        for name, look in looks.items()
    }
    files = [Inspected(name, look) for name, look in known.items()]
    return Inventory(sorted(files, key=lambda file: (-file.look.content.rank, file.name)))


def _beside(name: str, external: str) -> str:
    folder, separator, _ = name.rpartition("/")
    return f"{folder}{separator}{external.removeprefix('./')}"


def refused(found: Inventory, policy: ContentPolicy) -> Sequence[Inspected]:
    """The files that the policy does not let pass."""
    return [file for file in found.files if file.look.content.rank >= policy.refuses.rank]


def refuse(found: Inventory, policy: ContentPolicy) -> None:
    """Raises `ContentRefused`, which names the files."""
    files = refused(found, policy)
    if not files:
        return
    lines = [f"{file.look.content}: {shown(file.name)} ({file.look.form})" for file in files[:_NAMED]]
    more = [f"and {len(files) - _NAMED:,} more"] if len(files) > _NAMED else []
    said = "\n  ".join([f"it has {policy.words}:", *lines, *more])
    raise ContentRefused(said, tuple(file.name for file in files))
