"""A signed artifact to be verified again and again: files, signature, and who is trusted, read anew each time."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from service.adapters.artifacts.elliptic_keys import read_bounded, signature_holds
from service.adapters.artifacts.file_tree import FileTree
from service.adapters.artifacts.trust_file import read_trust, trust_in
from service.domain.errors import ArtifactUnreadable, InvalidConfiguration, NotSigned
from service.domain.integrity.envelope import MAXIMUM_BUNDLE_BYTES
from service.domain.integrity.inventory import DATA_ONLY, refuse
from service.domain.integrity.trust import Expectation, Trust
from service.usecases.inspect_artifact import inspect_artifact
from service.usecases.verify_artifact import Verified, verify_artifact


@dataclass(frozen=True, slots=True)
class SignedFiles:
    """One of `trust` and `key` is there. A `service.ports.WatchedArtifact`."""

    path: Path
    signature: Path
    trust: Path | None
    key: Path | None
    expected: Expectation

    def mark(self) -> bytes:
        return self._with_beside(FileTree(self.path, self.signature).mark())

    def verify(self, progress: Callable[[int], None], /) -> tuple[str, bytes]:
        found, files = self._verified(progress)
        return found.payload_digest, self._with_beside(files.mark(as_read=True))

    def verified(self) -> Verified:
        """All of it, read now. Raises as `verify` does, and `NotSigned` where there are files without a signature."""
        if not is_absent(self.path) and is_absent(self.signature):
            raise NotSigned(f"there is no signature {self.signature}: sign it (driftwarden sign)")
        return self._verified(lambda _: None)[0]

    def trusted(self) -> Trust:
        """Who may sign it, as that is said now. Raises `ArtifactUnreadable`."""
        with as_unreadable():
            return self._trust()

    def _verified(self, progress: Callable[[int], None]) -> tuple[Verified, FileTree]:
        # One thread: the others of the machine are those that serve. And they want the page cache as it is.
        files = FileTree(self.path, self.signature, progress=progress, threads=1, leaves_no_trace=True)
        self._refuse_pipes()
        with as_unreadable():
            trust, bundle = self._trust(), read_bounded(self.signature, MAXIMUM_BUNDLE_BYTES)
        found = verify_artifact(files, bundle, trust, self.expected, datetime.now(UTC), signature_holds)
        if found.key.data_only:
            refuse(inspect_artifact(files), DATA_ONLY)
        return found, files

    def _with_beside(self, mark: bytes) -> bytes:
        beside = [_mark(file) for file in self._beside()]
        return hashlib.blake2b(mark + repr(beside).encode()).digest()

    def _refuse_pipes(self) -> None:
        """In the place of a signature, whose reading would never end."""
        for file in self._beside():
            if os.path.exists(file) and not os.path.isfile(file):  # noqa: PTH110, PTH113 - whatever is wrong, no error
                raise ArtifactUnreadable(f"{file} is not a file")

    def _beside(self) -> list[Path]:
        return [file for file in (self.signature, self.trust, self.key) if file is not None]

    def _trust(self) -> Trust:
        if self.trust is not None:
            return read_trust(self.trust, self.path)
        assert self.key is not None  # noqa: S101 - whoever reads the configuration wants one of the two
        return trust_in(self.key, self.path)


def is_absent(file: Path) -> bool:
    """Whether its folder is there and it is not. Of a volume that is away, or in trouble, that is not known."""
    try:
        os.lstat(file)
    except FileNotFoundError:
        return os.path.isdir(file.parent)  # noqa: PTH112 - whatever is wrong, no error
    except OSError:
        return False
    return False


@contextmanager
def as_unreadable() -> Iterator[None]:
    """Half a rotation, perhaps: files that somebody is just replacing are there again in a moment."""
    try:
        yield
    except InvalidConfiguration as error:
        raise ArtifactUnreadable(str(error)) from error


def _mark(file: Path) -> tuple[int, ...] | None:
    """Of what the path leads to: a mounted ConfigMap or Secret is swapped by a symbolic link."""
    try:
        found = os.stat(file)  # noqa: PTH116 - one call, no object
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
