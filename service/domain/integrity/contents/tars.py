"""What is in a tar archive (POSIX.1-1988, ustar, pax and GNU), as Python's tarfile finds it."""

from collections.abc import Iterator

from service.domain.integrity.contents.source import Part, View
from service.domain.integrity.contents.zips import Entry

_BLOCK = 512
_FILES = b"0\x007"
_DESCRIBE = b"xgLK"
"""Entries that say something of the next one: its name, and in pax records anything."""
_MAXIMUM_RECORDS = 2**16


def tarred(view: View) -> Iterator[Entry] | None:
    """Its entries, `None` if it is no tar archive."""
    return _entries(view) if _is_header(view.head[:_BLOCK]) else None


def _entries(view: View) -> Iterator[Entry]:
    offset = 0
    while offset < view.source.size and view.budget.step():
        header = view.source.read(offset, _BLOCK)
        if not _is_header(header):
            return
        size, kind = max(0, _size(header[124:136])), header[156:157]
        name = header[:100].split(b"\0")[0].decode("utf-8", "replace")
        start = offset + _BLOCK
        there = min(size, view.source.size - start)
        if kind in _FILES:
            yield Entry(name, Part(view.source, start, max(0, there)), whole=there == size)
        elif (kind not in _DESCRIBE and size) or b" size=" in _records(view, kind, start, there):
            # A sparse file, or a length that is said in two places: what follows could be read in another way.
            yield Entry(name, None, whole=False)
        offset = start + (size + _BLOCK - 1) // _BLOCK * _BLOCK


def _records(view: View, kind: bytes, start: int, size: int) -> bytes:
    return view.source.read(start, min(size, _MAXIMUM_RECORDS)) if kind in b"xg" else b""


def _is_header(header: bytes) -> bool:
    if len(header) < _BLOCK or not any(header):
        return False
    said = _size(header[148:156])
    counted = header[:148] + b" " * 8 + header[156:]
    return said >= 0 and said in {sum(counted), sum(byte - 256 * (byte > 127) for byte in counted)}


def _size(field: bytes) -> int:
    """Octal digits, or the binary form of GNU for what is larger; -1 for neither.

    Of the digits, whatever is read for some: by tarfile's `int`, which takes 0o, signs and underscores, up to a zero.
    """
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.lstrip(b"\0 ").partition(b"\0")[0].strip()
    try:
        return int(digits or b"0", 8)
    except ValueError:
        return -1
