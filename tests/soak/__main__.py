"""The long forms: `python -m tests.soak --minutes 60`, or `make soak MINUTES=60`."""

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.processes.services import ServiceProcess
from tests.processes.stores import StoreServer, valkey_binary
from tests.soak.crash_points import die_at_random_places
from tests.soak.steady_load import soak


class Started:
    """Stores and services of one soak, ended with it."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._made = 0

    def store(self) -> StoreServer:
        server = StoreServer(valkey_binary(), self._next("store"))
        self._stack.callback(server.kill)
        server.start()
        return server

    def service(self, *arguments: str, **settings: str) -> ServiceProcess:
        service = ServiceProcess(self._next("service"), *arguments, **settings)
        self._stack.callback(service.stop)
        return service

    def _next(self, kind: str) -> Path:
        self._made += 1
        return self._directory / f"{kind}-{self._made}"


def main() -> None:
    """Random crashes first, then load for the rest of the time."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=10.0, help="of steady load, a fault every five (10)")
    parser.add_argument("--lives", type=int, default=150, help="workers that die at a random place (150)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of those places (the time)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="driftwarden-soak-") as directory, ExitStack() as stack:
        started = Started(Path(directory), stack)
        print(f"{arguments.lives} workers die at random places, seed {arguments.seed}", flush=True)
        windows = die_at_random_places(
            started.service, started.store(), Path(directory), arguments.lives, arguments.seed
        )
        print(f"{windows} windows were judged once each, their actions delivered once each", flush=True)
        fault_seconds = min(300.0, 20.0 * arguments.minutes)
        print(f"steady load for {arguments.minutes:g} minutes, the store killed every {fault_seconds:g} s", flush=True)
        samples = soak(started.service, started.store(), arguments.minutes, fault_seconds)
        for role, seen in samples.items():
            first, last = seen[len(seen) // 2], seen[-1]
            print(
                f"{role}: {first.resident_bytes / 2**20:.1f} MiB half way, {last.resident_bytes / 2**20:.1f} at last; "
                f"files {first.files}, {last.files}; threads {first.threads}, {last.threads}; no unhandled exception"
            )


if __name__ == "__main__":
    main()
