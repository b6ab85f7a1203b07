"""How near to the hash's own speed are files hashed, and what memory does that take?

Both ways take turns over the same bytes: SHA-256 of a piece that stays in memory, again and again, and the files of a
folder in the page cache, through the walk, the opening folder by folder and the check that nobody wrote meanwhile. On
one thread each, and then on all. The ratio is the median of the rounds', by the processor's time, which others on the
machine disturb less; the speeds are by the clock. Then `benchmarks.watch`: how soon a flipped byte is found, and what
reading costs those who send rows.
"""

import argparse
import hashlib
import json
import os
import resource
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from benchmarks import watch
from service.adapters.artifacts.file_tree import FileTree

PIECE = os.urandom(2**20)
FILES = 4
ROUNDS = 9
Times = tuple[float, float]
"""Seconds by the clock, and of the processor."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="256 MiB in place of 2 GiB")
    parser.add_argument("--only", choices=["hashing", "watch"], help="one of the two questions")
    asked = parser.parse_args()
    if asked.only != "watch":
        _hashing(256 if asked.quick else 2048)
    if asked.only != "hashing":
        watch.main(quick=asked.quick)


def _hashing(mebibytes: int) -> None:
    with tempfile.TemporaryDirectory(prefix="driftwarden-hash-") as directory:
        root = Path(directory)
        for number in range(FILES):
            with (root / f"{number}.bin").open("wb") as file:
                for _ in range(mebibytes // FILES):
                    file.write(PIECE)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for threads in dict.fromkeys((1, min(FILES, os.cpu_count() or 1))):
            rounds = _rounds(partial(_alone, mebibytes, threads), partial(_files, root, threads))
            alone, files = (median(mebibytes / clock for clock, _ in way) for way in zip(*rounds, strict=True))
            print(f"{threads} threads: SHA-256 alone {alone:,.0f} MiB/s, files {files:,.0f} MiB/s")
            ratio = median(hash_alone[1] / of_files[1] for hash_alone, of_files in rounds)
            _figure(f"hashing_of_hash_{threads}", ratio, "ratio", "SHA-256 of bytes in memory")
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        _figure("hashing_memory", grown, "MiB", f"before {mebibytes} MiB were hashed")


def _rounds(first: Callable[[], None], second: Callable[[], None]) -> list[tuple[Times, Times]]:
    """Times of both, in turns; the first round warms up and is not counted."""
    return [(_times(first), _times(second)) for _ in range(ROUNDS + 1)][1:]


def _times(way: Callable[[], None]) -> Times:
    begun = perf_counter(), process_time()
    way()
    return perf_counter() - begun[0], process_time() - begun[1]


def _alone(mebibytes: int, threads: int) -> None:
    def hashed(pieces: int) -> None:
        digest = hashlib.sha256()
        for _ in range(pieces):
            digest.update(PIECE)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(hashed, [mebibytes // FILES] * FILES))


def _files(root: Path, threads: int) -> None:
    tree = FileTree(root, threads=threads)
    tree.digests([found.name for found in tree.found()])


def _figure(name: str, value: float, unit: str, against: str) -> None:
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "against": against}))


if __name__ == "__main__":
    main()
