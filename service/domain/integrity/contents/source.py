"""Bytes to look at, from anywhere in them, and never more of them than was agreed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from service.domain.integrity.contents.content import Look

HEAD_BYTES = 2**16
MAXIMUM_READ = 16 * 2**20
"""Bytes that are read of one file, however large it is."""
MAXIMUM_UNPACKED = 32 * 2**20
"""Bytes that are unpacked from what is compressed in one file."""
MAXIMUM_DEPTH = 3
"""Archives in archives."""


class Source(Protocol):
    """A file, or a part of one."""

    @property
    def size(self) -> int: ...

    def read(self, offset: int, count: int, /) -> bytes:
        """Fewer bytes at the end, none behind it."""
        ...


@dataclass(slots=True)
class Budget:
    """What may still be looked at of one file."""

    read: int = MAXIMUM_READ
    unpacked: int = MAXIMUM_UNPACKED
    steps: int = 100_000
    """Entries, fields and opcodes: what costs time without being read."""
    exhausted: bool = False

    def take_read(self, count: int) -> int:
        """How many of these bytes may be read."""
        granted = self._granted(count, self.read)
        self.read -= granted
        return granted

    def take_unpacked(self, count: int) -> int:
        granted = self._granted(count, self.unpacked)
        self.unpacked -= granted
        return granted

    def step(self) -> bool:
        """Whether there may be one more."""
        self.steps -= 1
        return self._granted(1, max(0, self.steps)) == 1

    def _granted(self, count: int, left: int) -> int:
        if count > left:
            self.exhausted = True
        return min(count, left)


class Bounded:
    """A source of which a budget is spent."""

    def __init__(self, source: Source, budget: Budget) -> None:
        self._source = source
        self._budget = budget
        self.size = source.size

    def read(self, offset: int, count: int, /) -> bytes:
        wanted = max(0, min(count, self.size - offset))
        granted = self._budget.take_read(wanted)
        return self._source.read(offset, granted) if granted else b""


@dataclass(frozen=True, slots=True)
class Part:
    """Contiguous bytes of a source."""

    source: Source
    start: int
    size: int

    def read(self, offset: int, count: int, /) -> bytes:
        return self.source.read(self.start + offset, max(0, min(count, self.size - offset)))


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes in memory."""

    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    def read(self, offset: int, count: int, /) -> bytes:
        return self.content[offset : offset + max(0, count)]


@dataclass(frozen=True, slots=True)
class View:
    """What a recogniser is given."""

    source: Source
    name: str
    budget: Budget
    whole: bool = True
    """Whether the source ends where what is looked at ends: what is unpacked stops early."""
    depth: int = 0
    head: bytes = b""

    def number(self, offset: int, size: int) -> int:
        """Little-endian; whatever is missing at the end is zero."""
        return int.from_bytes(self.source.read(offset, size), "little")


def pieces_of(source: Source, maximum: int) -> tuple[bytes, bool]:
    """The first and the last bytes, to look for words in; and whether that is all there is."""
    if source.size <= maximum:
        return source.read(0, source.size), True
    half = maximum // 2
    return source.read(0, half) + b"\n" + source.read(source.size - half, half), False


Recogniser = Callable[[View], Look | None]
"""Says what a file is, if it is of that kind."""
