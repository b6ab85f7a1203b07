"""The beginning of what is compressed, within a budget."""

import lzma
import zlib
from typing import Protocol

from service.domain.integrity.contents.source import Budget, Source

_PIECE_BYTES = 2**12
_MAXIMUM_PACKED = 2**18
_ARRAY, _ARRAY_BYTES = b"\x93NUMPY", 2**14
"""An array says all of itself in its header; archives of hundreds are common."""


class Unpacking(Protocol):
    """What the standard library's decompressors have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def beginning(unpacking: Unpacking, packed: Source, budget: Budget, maximum: int) -> tuple[bytes, bool]:
    """At most so many bytes, and whether that is all: another member may follow the first.

    What comes before damage counts, as who reads a stream is given it.
    """
    granted = max(1, budget.take_unpacked(maximum))
    text, read = b"", 0
    try:
        while read < min(packed.size, _MAXIMUM_PACKED) and not unpacking.eof:
            text += unpacking.decompress(packed.read(read, _PIECE_BYTES), granted - len(text))
            read += _PIECE_BYTES
            if len(text) >= min(granted, _ARRAY_BYTES if text.startswith(_ARRAY) else granted):
                break
    except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError):
        pass
    budget.unpacked += granted - len(text)
    return text, unpacking.eof and not unpacking.unused_data and read >= packed.size
