"""What is in a zip archive, as its end says and not its beginning: whatever stands before it makes it no other archive.

Readers differ in whether they believe the offset that the end record gives or the one that follows from the sizes, so
that one archive can be two. Both are looked at. APPNOTE.TXT 6.3.10; CPython's zipfile.
"""

import bz2
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from service.domain.integrity.contents.source import Held, Part, Source, View
from service.domain.integrity.contents.unpacking import beginning

_END, _ENTRY, _LOCAL, _FAR_END, _LOCATOR = b"PK\5\6", b"PK\1\2", b"PK\3\4", b"PK\6\6", b"PK\6\7"
_END_BYTES, _ENTRY_BYTES, _LOCAL_BYTES, _FAR_END_BYTES, _LOCATOR_BYTES = 22, 46, 30, 56, 20
_MAXIMUM_COMMENT = 2**16
_MAXIMUM_INNER_COMMENT = 2**10
"""Of archives in archives: what is read of each entry is what lets many be looked at."""
_MAXIMUM_ENDS = 16
"""Records at the end that are looked at: readers differ in which one they take, and one is enough for most."""
_MAXIMUM_DIRECTORY = 4 * 2**20
_UNPACKED_BYTES = 2**20
"""Of one entry: enough for what a format says of itself, and for configurations."""
_STORED, _DEFLATED, _BZIP2 = 0, 8, 12


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in an archive."""

    name: str
    source: Source | None
    """`None` where it cannot be read: encrypted, packed in another way, or not where the directory says."""
    whole: bool


@dataclass(frozen=True, slots=True)
class _Listed:
    """As the directory has it."""

    name: str
    flags: int
    method: int
    size: int
    offset: int


def zipped(view: View) -> Iterator[Entry] | None:
    """Its entries, `None` if it is no zip archive."""
    source = view.source
    searched = _END_BYTES + (_MAXIMUM_COMMENT if view.depth == 0 else _MAXIMUM_INNER_COMMENT)
    before = max(0, source.size - searched)
    tail = source.read(before, searched) if view.whole else b""
    places: dict[int, tuple[int, int]] = {}
    for found in list(_found(tail, _END))[-_MAXIMUM_ENDS:]:
        for size, offset, end in _directories(source, before + found, tail[found : found + _END_BYTES]):
            places |= {place: (size, place - offset) for place in (end - size, offset) if _is(source, place, _ENTRY)}
    return _entries(view, places) if places else None


def _found(text: bytes, word: bytes) -> Iterator[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)


def _directories(source: Source, end: int, record: bytes) -> Iterator[tuple[int, int, int]]:
    """Size of the directory, where it says that it is, and where it ends.

    By the record at the end, and by that of large archives, which stands before it, or where its locator says.
    """
    yield _number(record, 12, 4), _number(record, 16, 4), end
    locator = source.read(end - _LOCATOR_BYTES, _LOCATOR_BYTES) if end >= _LOCATOR_BYTES else b""
    if not locator.startswith(_LOCATOR):
        return
    for far in {end - _LOCATOR_BYTES - _FAR_END_BYTES, _number(locator, 8, 8)}:
        if _is(source, far, _FAR_END):
            text = source.read(far, _FAR_END_BYTES)
            yield _number(text, 40, 8), _number(text, 48, 8), far


def _entries(view: View, places: dict[int, tuple[int, int]]) -> Iterator[Entry]:
    for place, (size, shift) in places.items():
        directory = view.source.read(place, min(size, _MAXIMUM_DIRECTORY))
        if len(directory) < size:
            view.budget.exhausted = True
        for listed in _listed(view, directory):
            # As it says, and counted from where the archive begins behind something else.
            offsets = dict.fromkeys((listed.offset + shift, listed.offset))
            there = [offset for offset in offsets if _is(view.source, offset, _LOCAL)]
            yield from (_entry(view, listed, offset) for offset in there)
            if not there:
                yield Entry(listed.name, None, whole=False)


def _listed(view: View, directory: bytes) -> Iterator[_Listed]:
    at = 0
    while directory[at : at + 4] == _ENTRY and view.budget.step():
        fields = directory[at : at + _ENTRY_BYTES]
        name, extra, comment = (_number(fields, offset, 2) for offset in (28, 30, 32))
        start = at + _ENTRY_BYTES
        packed, offset = _far(view, fields, directory[start + name : start + name + extra])
        text = directory[start : start + name].decode("utf-8", "replace")
        yield _Listed(text, _number(fields, 8, 2), _number(fields, 10, 2), packed, offset)
        at = start + name + extra + comment


def _far(view: View, fields: bytes, extra: bytes) -> tuple[int, int]:
    """The packed size and the offset of an entry, which stand elsewhere where they are larger than 32 bits."""
    unpacked, packed, offset = _number(fields, 24, 4), _number(fields, 20, 4), _number(fields, 42, 4)
    large = [value == 0xFFFFFFFF for value in (unpacked, packed, offset)]
    at = 0
    while any(large) and at + 4 <= len(extra) and view.budget.step():
        kind, length = _number(extra, at, 2), _number(extra, at + 2, 2)
        if kind == 1:
            numbers = [_number(extra, at + 4 + each, 8) for each in range(0, min(length, 24), 8)]
            packed = numbers[sum(large[:1])] if large[1] and len(numbers) > sum(large[:1]) else packed
            offset = numbers[sum(large[:2])] if large[2] and len(numbers) > sum(large[:2]) else offset
            break
        at += 4 + length
    return packed, offset


def _entry(view: View, listed: _Listed, offset: int) -> Entry:
    if listed.flags & 1:
        return Entry(listed.name, None, whole=False)
    local = view.source.read(offset, _LOCAL_BYTES)
    start = offset + _LOCAL_BYTES + _number(local, 26, 2) + _number(local, 28, 2)
    packed = Part(view.source, start, max(0, min(listed.size, view.source.size - start)))
    if listed.method == _STORED:
        return Entry(listed.name, packed, whole=True)
    if listed.method not in {_DEFLATED, _BZIP2}:
        return Entry(listed.name, None, whole=False)
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS) if listed.method == _DEFLATED else bz2.BZ2Decompressor()
    text, whole = beginning(unpacking, packed, view.budget, _UNPACKED_BYTES)
    return Entry(listed.name, Held(text) if text or whole else None, whole)


def _is(source: Source, offset: int, magic: bytes) -> bool:
    return offset >= 0 and source.read(offset, len(magic)) == magic


def _number(text: bytes, offset: int, size: int) -> int:
    return int.from_bytes(text[offset : offset + size], "little")
