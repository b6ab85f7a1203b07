"""Reading that leaves the page cache as it was: what others have there stays, and nothing is added."""

import os
import sys
from contextlib import suppress

_CHUNK_BYTES = 2**23
_AHEAD_BYTES = 2**22
"""Where a chunk is looked at: farther than the kernel reads ahead of us."""


class PageCache:
    """Of one open file that is read from its beginning to its end; does nothing where the system cannot tell."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._size = size
        self._left = 0
        self._others_have_it = self._is_there(0)

    def read_until(self, read: int) -> None:
        """So many bytes were read by now."""
        if read - self._left < _CHUNK_BYTES and read < self._size:
            return
        if sys.platform == "linux" and not self._others_have_it:
            with suppress(OSError):  # a file system that keeps no such advice is read all the same
                os.posix_fadvise(self._descriptor, self._left, read - self._left, os.POSIX_FADV_DONTNEED)
        self._left = read
        self._others_have_it = self._is_there(read)

    def _is_there(self, chunk: int) -> bool:
        """Without asking the disk."""
        place = min(chunk + _AHEAD_BYTES, self._size - 1)
        if sys.platform != "linux" or place < chunk:
            return False
        try:
            return os.preadv(self._descriptor, [bytearray(1)], place, os.RWF_NOWAIT) > 0
        except OSError:  # not there, or a file system that does not say
            return False
