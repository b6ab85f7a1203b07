"""Compressed bodies: undone in pieces, and given up as soon as they are larger than a body may be.

A coding may also be there without its header: proxies are known to take the header away and leave the body (KServe's
logger behind Knative). No format begins as gzip or zstd do, so a body that does is taken for one.
"""

import sys
import zlib

from service.domain.errors import Fault, UnreadableBody, UnsupportedFormat
from service.http.errors import BodyTooLarge

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAXIMUM_RATIO = 200
"""Rows of numbers shrink to a tenth; where they are all the same to a hundredth and less ..."""
ALWAYS_ALLOWED = 2**20
"""... which is why a small body may unpack to this whatever its ratio."""
_PIECE = 64 * 2**10
_NOTHING = memoryview(b"")
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_WINDOW_LOG = 23
"""8 MiB, as RFC 9659 has it for HTTP: what a frame may ask the reader to remember."""


class _Gzip:
    def __init__(self) -> None:
        self._undo = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._undo.eof

    @property
    def unused_data(self) -> bytes:
        return self._undo.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._undo.unconsumed_tail

    def more(self, packed: memoryview) -> bytes:
        """At most `_PIECE` bytes of what is inside; nothing is given while there is input left."""
        return self._undo.decompress(packed or self._undo.unconsumed_tail, _PIECE)


class _Zstd:
    def __init__(self) -> None:
        self._undo = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})

    @property
    def eof(self) -> bool:
        return self._undo.eof

    @property
    def unused_data(self) -> bytes:
        return self._undo.unused_data

    @property
    def needs_input(self) -> bool:
        return self._undo.needs_input

    def more(self, packed: memoryview) -> bytes:
        return self._undo.decompress(packed, _PIECE)


_UNPACKERS: dict[str, type[_Gzip | _Zstd]] = {"gzip": _Gzip, "x-gzip": _Gzip, "zstd": _Zstd}


def declared_coding(content_encoding: str | None) -> str | None:
    """What the header says, before a body is read; raises `UnsupportedFormat` for what is not undone."""
    coding = (content_encoding or "").strip().lower()
    if coding in {"", "identity"}:
        return None
    if coding not in _UNPACKERS:
        raise UnsupportedFormat(Fault("Content-Encoding", "must be gzip or zstd, and one of them only"))
    return coding


def refuse_coded(content_encoding: str | None) -> None:
    """Raise `UnsupportedFormat` for any coding, where a body is small, or compact already."""
    if declared_coding(content_encoding) is not None:
        raise UnsupportedFormat(Fault("Content-Encoding", "must be absent: send this body uncompressed"))


def coding_of(content_encoding: str | None, body: bytes) -> str | None:
    """What the header says or, without one, what the body begins as; raises `UnsupportedFormat`."""
    return declared_coding(content_encoding) or _began(body)


def most_unpacked(packed: int, max_bytes: int) -> int:
    """How large a body of so many bytes may become."""
    return min(max_bytes, max(ALWAYS_ALLOWED, packed * MAXIMUM_RATIO))


def unpacked(coding: str, body: bytes, max_bytes: int) -> bytes:
    """Raises `BodyTooLarge`, and `UnreadableBody` for what is damaged, cut off, or goes on after its end."""
    most, undo = most_unpacked(len(body), max_bytes), _UNPACKERS[coding]()
    pieces, size = list[bytes](), 0
    # In pieces on both sides: what is left of the input is copied with every one.
    given, rest = _NOTHING, memoryview(body)
    while not undo.eof:
        given, rest = (rest[:_PIECE], rest[_PIECE:]) if undo.needs_input else (_NOTHING, rest)
        try:
            piece = undo.more(given)
        except (zlib.error, zstd.ZstdError, EOFError):
            raise UnreadableBody(Fault("body", f"is not {coding}, or is damaged")) from None
        if not (piece or given or rest or undo.eof) and undo.needs_input:
            raise UnreadableBody(Fault("body", f"is cut off before its {coding} ends"))
        size += len(piece)
        if size > most:
            raise BodyTooLarge
        pieces.append(piece)
    if undo.unused_data or rest:
        raise UnreadableBody(Fault("body", f"goes on after its {coding} has ended"))
    whole = b"".join(pieces)
    if _began(whole) is not None:
        raise UnreadableBody(Fault("body", "is compressed more than once"))
    return whole


def _began(body: bytes) -> str | None:
    return next((coding for magic, coding in _MAGIC.items() if body.startswith(magic)), None)
