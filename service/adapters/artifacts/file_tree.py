"""A file or a folder on a disk, read without following anything that leads out of it."""

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.adapters.artifacts.page_cache import PageCache
from service.adapters.artifacts.sparse import is_hollow
from service.domain.errors import ArtifactUnreadable
from service.domain.integrity.names import WHOLE, shown
from service.domain.integrity.tree import Found, Sort

MAXIMUM_FILES = 200_000
MAXIMUM_BYTES = 2**44
"""16 TiB: a sparse file of more is no model, and reading it would take days."""
_MAXIMUM_DEPTH = 100
_PIECE_BYTES = 2**18
"""What is copied is still in the processor's cache when it is hashed."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe that somebody put in the place of a file must not be waited for.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def _nobody(_: int) -> None:
    """Is told of what was read."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """An open file, to be read from anywhere."""

    descriptor: int
    size: int

    def read(self, offset: int, count: int, /) -> bytes:
        return os.pread(self.descriptor, count, offset)


class FileTree:
    """`progress` is told, from several threads, how many bytes were read; what it raises ends the reading.

    `leaves_no_trace`: the page cache is as it was afterwards.
    """

    def __init__(
        self,
        root: Path,
        signature: Path | None = None,
        *,
        progress: Callable[[int], None] = _nobody,
        threads: int | None = None,
        leaves_no_trace: bool = False,
    ) -> None:
        self._root = root
        self._progress = progress
        self._leaves_no_trace = leaves_no_trace
        self._threads = threads if threads is not None else min(4, os.cpu_count() or 1)
        self._left_out = None if signature is None else _below(root, signature)
        self._read: dict[str, tuple[int, ...]] = {}
        """How the files were whose digests were told."""

    @property
    def name(self) -> str:
        return shown(self._root.name or self._root.resolve().name or "root")

    def found(self) -> Sequence[Found]:
        """See the port. Raises `ArtifactUnreadable` of what is larger than can be read, too."""
        tree: list[Found] = []
        size = 0
        for found, _ in self._walk():
            tree.append(found)
            size += found.size
            if len(tree) > MAXIMUM_FILES or size > MAXIMUM_BYTES:
                bounds = f"{MAXIMUM_FILES:,} files or {MAXIMUM_BYTES:,} bytes"
                raise ArtifactUnreadable(f"{self._root} has more than {bounds}")
        return tree

    def mark(self, *, as_read: bool = False) -> bytes:
        """Another one after whatever is done to a file, its mode and its name included; reading changes nothing.

        The time of an inode's last change cannot be set back. Reads no file; raises `ArtifactUnreadable`.
        `as_read`: files whose digests were told count as they were then. A folder may have been another one at that
        moment, and have come back unchanged.
        """
        entries: list[str] = []
        for found, state in self._walk():
            of_inode = () if state is None else (state.st_dev, state.st_ino, state.st_mode)
            of_content = () if state is None else _mark(state)
            if as_read:
                of_content = self._read.get(found.name, of_content)
            entries.append(repr((found.name, found.sort.name, *of_inode, *of_content)))
            if len(entries) > MAXIMUM_FILES:
                raise ArtifactUnreadable(f"{self._root} has more than {MAXIMUM_FILES:,} files")
        return hashlib.blake2b("\n".join(sorted(entries)).encode("ascii", "backslashreplace")).digest()

    def digests(self, names: Collection[str], /) -> Mapping[str, str]:
        """See the port."""
        with ThreadPoolExecutor(self._threads, "hashing") as threads:
            try:
                return dict(zip(names, threads.map(self._digest, names), strict=True))
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise

    @contextmanager
    def opened(self, name: str, /) -> Iterator[FilePart]:
        """See the port `ArtifactContents`."""
        with self._unreadable(name), self._opened(name, _FILE) as descriptor:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode) or self._read.get(name, _mark(state)) != _mark(state):
                raise ArtifactUnreadable(f"{self._shown(name)} was replaced while it was read: try again")
            yield FilePart(descriptor, state.st_size)

    def _walk(self) -> Iterator[tuple[Found, os.stat_result | None]]:
        with self._unreadable(WHOLE):
            mode = os.lstat(self._root)
        if not stat.S_ISDIR(mode.st_mode):
            yield Found(WHOLE, _sort(mode), mode.st_size), mode
            return
        folders = [""]
        while folders:
            folder = folders.pop()
            entries = self._entries(folder)
            if not entries:
                yield Found(folder or WHOLE, Sort.EMPTY_FOLDER), None
            for name, state in entries:
                if name == self._left_out:
                    continue
                if stat.S_ISDIR(state.st_mode):
                    folders.append(name)
                else:
                    yield Found(name, _sort(state), state.st_size), state

    def _entries(self, folder: str) -> list[tuple[str, os.stat_result]]:
        if folder.count("/") > _MAXIMUM_DEPTH:
            raise ArtifactUnreadable(f"{self._root} has folders in folders, more than {_MAXIMUM_DEPTH} deep")
        with self._unreadable(folder), self._opened(folder or WHOLE, _FOLDER) as descriptor:
            entries = []
            with os.scandir(descriptor) as names:
                for entry in names:
                    state = entry.stat(follow_symlinks=False)
                    entries.append((f"{folder}/{entry.name}" if folder else entry.name, state))
                    if len(entries) > MAXIMUM_FILES:
                        raise ArtifactUnreadable(f"{self._root} has more than {MAXIMUM_FILES:,} files")
            return entries

    def _digest(self, name: str) -> str:
        with self._unreadable(name), self._opened(name, _FILE) as descriptor:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise ArtifactUnreadable(f"{self._shown(name)} was replaced while it was read: try again")
            if is_hollow(descriptor, before.st_size):
                raise ArtifactUnreadable(f"{self._shown(name)} is larger than what is in it: it is nearly all holes")
            digest = hashlib.sha256()
            piece = memoryview(bytearray(min(_PIECE_BYTES, before.st_size + 1)))
            cache = PageCache(descriptor, before.st_size) if self._leaves_no_trace else None
            read = 0
            while count := os.readv(descriptor, [piece]):
                read += count
                if read > before.st_size:
                    break
                digest.update(piece[:count])
                if cache is not None:
                    cache.read_until(read)
                self._progress(count)
            after = os.fstat(descriptor)
            if read != before.st_size or _mark(before) != _mark(after):
                raise ArtifactUnreadable(f"{self._shown(name)} changed while it was read: try again when it is written")
            self._read[name] = _mark(after)
            return digest.hexdigest()

    @contextmanager
    def _opened(self, name: str, flags: int) -> Iterator[int]:
        """By one folder after the other: a link that replaces one of them meanwhile is not followed either."""
        parts = [] if name == WHOLE else name.split("/")
        descriptor = os.open(self._root, _FOLDER if parts else flags)
        try:
            for number, part in enumerate(parts, 1):
                inner = os.open(part, flags if number == len(parts) else _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _unreadable(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArtifactUnreadable(f"{self._shown(name)} cannot be read: {error.strerror}") from error

    def _shown(self, name: str) -> str:
        return shown(str(self._root if name in {WHOLE, ""} else self._root / name))


def _sort(state: os.stat_result) -> Sort:
    if stat.S_ISREG(state.st_mode):
        return Sort.FILE
    return Sort.LINK if stat.S_ISLNK(state.st_mode) else Sort.SPECIAL


def _mark(state: os.stat_result) -> tuple[int, ...]:
    """Changes whenever the file is written, also through a mapping, and whatever its times are set to afterwards."""
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _below(root: Path, signature: Path) -> str | None:
    """Where the signature is in the folder, if it is."""
    # `Path.resolve` fails on a link that leads to itself.
    place = Path(os.path.realpath(signature.parent)) / signature.name
    whole = Path(os.path.realpath(root))
    return place.relative_to(whole).as_posix() if place.is_relative_to(whole) and place != whole else None
