"""What is compressed as a whole: the beginning is unpacked, within bounds, and looked at in its place."""

import bz2
import lzma
import zlib

from service.domain.integrity.contents.source import Part, View
from service.domain.integrity.contents.unpacking import Unpacking, beginning

_UNPACKED_BYTES = 2**21
_GZIP = 16 + zlib.MAX_WBITS
_XZ_MEMORY = 128 * 2**20
"""Bytes: xz -9 needs 65 MiB."""
_CERTAIN = {"gzip", "bzip2", "xz"}
"""Whose first bytes nothing else has: what cannot be unpacked is still one of these."""
OPAQUE = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\xff\x06\0\0sNaPpY": "snappy",
    b"\x1f\x9d": "compress",
}
"""Kinds that are not looked into."""


def unpacked(view: View) -> tuple[str, bytes, bool] | None:
    """How it is compressed, what it begins with, and whether that is all; `None` if it is not compressed."""
    kind, unpacking, start = _kind(view.head)
    if unpacking is None:
        return None
    text, whole = beginning(unpacking, Part(view.source, start, view.source.size - start), view.budget, _UNPACKED_BYTES)
    return (kind, text, whole) if text or unpacking.eof or kind in _CERTAIN else None


def _kind(head: bytes) -> tuple[str, Unpacking | None, int]:
    """What unpacks it, and from where on."""
    if head.startswith((b"BZh", b"\x1f\x8b")):
        return ("bzip2", bz2.BZ2Decompressor(), 0) if head[:1] == b"B" else ("gzip", zlib.decompressobj(_GZIP), 0)
    if head.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):
        return "lzma" if head[:1] == b"\x5d" else "xz", lzma.LZMADecompressor(memlimit=_XZ_MEMORY), 0
    if head[:1] == b"x" and len(head) > 1 and int.from_bytes(head[:2], "big") % 31 == 0:
        return "zlib", zlib.decompressobj(), 0
    if head.startswith(b"ZF0x"):  # joblib before 0.10: the length in hexadecimal, in 19 or 20 characters
        return "zlib", zlib.decompressobj(), 22 if head[21:22] == b" " else 21
    return "", None, 0
