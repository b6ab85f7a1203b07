"""A file system of 64 MB that a test may fill."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """Mount it there; skips what needs it where this machine does not allow that."""
    if os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root only")
    place.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let a test mount a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(file: Path) -> None:
    """Until nothing more can be written; there is room again when the file is removed."""
    piece = bytes(2**16)
    with file.open("wb", buffering=0) as writing:
        try:
            while writing.write(piece) == len(piece):
                pass
        except OSError:
            return
