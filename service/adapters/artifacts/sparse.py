"""Files that say that they are large, and hold nothing: reading them would only take time."""

import errno
import os

MAXIMUM_HOLES = 2**34
"""Bytes: 16 GiB, which are read in a quarter of a minute."""
_MAXIMUM_EXTENTS = 10_000
"""A file of more pieces takes its size on the disk, too."""


def is_hollow(descriptor: int, size: int) -> bool:
    """Whether more of an open file is holes than is worth reading. What a file system does not tell are none."""
    holes = offset = 0
    for _ in range(_MAXIMUM_EXTENTS):
        if holes + size - offset <= MAXIMUM_HOLES:
            break
        data = _next(descriptor, offset, os.SEEK_DATA, size)
        holes += data - offset
        offset = _next(descriptor, data, os.SEEK_HOLE, size)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return holes > MAXIMUM_HOLES


def _next(descriptor: int, offset: int, what: int, size: int) -> int:
    """Where data, or a hole, begins; the end where there is none any more."""
    try:
        return os.lseek(descriptor, offset, what)
    except OSError as error:
        # ENXIO says that no data comes any more; anything else, that it cannot be told.
        return offset if what == os.SEEK_DATA and error.errno != errno.ENXIO else size
