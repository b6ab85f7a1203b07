"""What was made of files, made anew when one of them changes."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import anyio
from anyio import to_thread

from service.domain.errors import InvalidConfiguration

T = TypeVar("T")
PERIOD_SECONDS = 1.0
_log = logging.getLogger(__name__)


class WatchedFiles(Generic[T]):
    """`make` reads them and raises `InvalidConfiguration`; at the start that is raised here as well.

    Later, files that cannot be used are said to be, and what was made before stays: half a rotation must not lock
    everybody out, and it must not let anybody in either. Looking is by period, not by notification: a Secret that
    Kubernetes swaps by a symbolic link, a network file system and a file written in place are all noticed.
    """

    def __init__(self, paths: Sequence[Path], make: Callable[[], T]) -> None:
        self._paths = paths
        self._make = make
        self._seen = self._state()
        self.current = make()

    async def watch(self) -> None:
        """Until it is cancelled."""
        while True:
            await anyio.sleep(PERIOD_SECONDS)
            await to_thread.run_sync(self.look)

    def look(self) -> None:
        """Once. A state is noted before the files are read, so that what changes meanwhile is seen next time."""
        state = self._state()
        if state == self._seen:
            return
        self._seen = state
        try:
            self.current = self._make()
        except InvalidConfiguration as error:
            _log.error("files changed and cannot be used, so what they said before still holds: %s", error)
        else:
            _log.info("files changed and were read again: %s", ", ".join(map(str, self._paths)))

    def _state(self) -> tuple[object, ...]:
        return tuple(_mark(path) for path in self._paths)


def _mark(path: Path) -> tuple[int, ...] | None:
    """Of what the path leads to; the time of the last change of the inode cannot be set back."""
    try:
        found = os.stat(path)  # noqa: PTH116 - one call, no object
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
