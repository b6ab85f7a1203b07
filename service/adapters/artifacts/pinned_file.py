"""A file that nobody signed, and that must stay what it was when it was read."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from service.adapters.artifacts.elliptic_keys import read_bounded
from service.domain.errors import ArtifactTampered, ArtifactUnreadable, InvalidConfiguration


class PinnedFile:
    """Follows symbolic links: a mounted ConfigMap has its files behind some. A `service.ports.WatchedArtifact`."""

    def __init__(self, path: Path, digest: str, maximum_bytes: int) -> None:
        """`digest`: SHA-256 of the bytes that were read, in hexadecimal."""
        self._path = path
        self._digest = digest
        self._maximum_bytes = maximum_bytes

    def mark(self) -> bytes:
        try:
            found = self._path.stat()
        except OSError as error:
            raise ArtifactUnreadable(f"{self._path} cannot be read: {error.strerror}") from error
        return repr((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)).encode()

    def verify(self, progress: Callable[[int], None], /) -> tuple[str, bytes]:
        try:
            text = read_bounded(self._path, self._maximum_bytes)
        except InvalidConfiguration as error:
            raise ArtifactUnreadable(str(error)) from error
        progress(len(text))
        if hashlib.sha256(text).hexdigest() != self._digest:
            raise ArtifactTampered(f"{self._path} is not what was read at start", (self._path.name,), (), ())
        return f"sha256:{self._digest}", self.mark()
