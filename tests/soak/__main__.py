"""The long forms: `make soak`, `make soak MINUTES=60`, or `python -m tests.soak --only survival,outages`."""

import argparse
import os
import shutil
import sys
import tempfile
import textwrap
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from service.settings import StoreSettings
from tests.cluster.binaries import BinariesUnavailable, find_or_build
from tests.cluster.control_plane import control_plane
from tests.processes.earlier_releases import ARCHIVES, unpacked
from tests.processes.services import ServiceProcess
from tests.processes.small_disk import small_disk
from tests.processes.stores import REDIS_SERVER, StoreServer, binary
from tests.soak.crash_points import die_at_random_places
from tests.soak.disk_order import answers_follow_the_disk
from tests.soak.drain import drain
from tests.soak.figures import Figure, broken
from tests.soak.forced_events import forced_events
from tests.soak.outages import outages
from tests.soak.overload import fairness, overload
from tests.soak.retraining import figures_of as figures_of_retraining
from tests.soak.retraining import retrain_through_faults
from tests.soak.steady_load import figures_of, soak
from tests.soak.survival import survive
from tests.soak.takeover import take_over
from tests.soak.upgrade import upgrade


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    kills: int = 20
    batches: int = 50_000
    traced: int = 5_000
    flood_seconds: float = 300.0
    fair_seconds: float = 60.0
    fault_seconds: float = 60.0
    clients: int = 50
    stalled: int = 100
    lives: int = 150
    takeovers: int = 10
    rounds: int = 1_000
    upgrade_batches: int = 9_000
    forced: int = 10_000
    minutes: float = 10.0
    seed: int = 0


SHORT = Size(2, 400, 80, 5.0, 3.0, 1.0, 16, 40, 10, 2, 10, 400, 500, 0.4)
"""To see that everything runs; proves little."""


class Started:
    """Stores and services of one section, ended with it."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self._stack = stack
        self._made = 0

    def store(self, flavour: str = "valkey", *arguments: str, directory: Path | None = None) -> StoreServer:
        server = StoreServer(binary(flavour), directory or self._next("store"), *arguments)
        self._stack.callback(server.kill)
        self._stack.callback(server.resume)
        server.start()
        return server

    def service(self, *arguments: str, **settings: str) -> ServiceProcess:
        service = ServiceProcess(self._next("service"), *arguments, **settings)
        self._stack.callback(service.stop)
        return service

    def disk(self) -> Path | None:
        """A small one; None where this machine does not give one."""
        try:
            return self._stack.enter_context(small_disk(self._next("disk")))
        except pytest.skip.Exception as reason:
            print(f"  no full disk: {reason}")
            return None

    def _next(self, kind: str) -> Path:
        self._made += 1
        return self.directory / f"{kind}-{self._made}"


@contextmanager
def started() -> Iterator[Started]:
    with tempfile.TemporaryDirectory(prefix="driftwarden-soak-") as directory, ExitStack() as stack:
        yield Started(Path(directory), stack)


def survival(size: Size) -> Iterator[Figure]:
    """R1: service and store killed together."""
    kinds = [("valkey", "fsync", "always"), ("valkey", "log", "everysec")]
    if shutil.which(REDIS_SERVER):
        kinds.append(("redis", "log", "always"))
    for flavour, level, appendfsync in kinds:
        with started() as new:
            store = {"flavour": flavour, "level": level, "appendfsync": appendfsync}
            counts = {"kills": size.kills, "batches": size.batches, "senders": 8}
            yield from survive(new.store, new.service, **store, **counts)


def disk_order(size: Size) -> Iterator[Figure]:
    """R2: no answer before the disk."""
    with started() as new:
        yield from answers_follow_the_disk(new.store, new.service, new.directory, batches=size.traced, senders=8)


def overloaded(size: Size) -> Iterator[Figure]:
    """R4, R5: four times the room, and a flood beside a steady model."""
    with started() as new:
        yield from overload(new.store, new.service, seconds=size.flood_seconds)
    with started() as new:
        yield from fairness(new.store, new.service, seconds=size.fair_seconds)


def store_outages(size: Size) -> Iterator[Figure]:
    """R6: every fault of the store, each for so long."""
    with started() as new:
        disk = new.disk()
        store = new.store(directory=None if disk is None else disk / "data")
        filler = None if disk is None else disk / "filler"
        as_delivered = {"DRIFT_STORE__TIMEOUT_SECONDS": str(StoreSettings().timeout_seconds)}
        yield from outages(store, new.service, seconds_each=size.fault_seconds, filler=filler, **as_delivered)


def draining(size: Size) -> Iterator[Figure]:
    """R7: SIGTERM under load."""
    for arguments in (("serve",), ("serve", "--ingest-only")):
        with started() as new:
            yield from drain(new.store, new.service, *arguments, clients=size.clients, stalled=size.stalled)


def crashes(size: Size) -> Iterator[Figure]:
    """R8: workers that die at random commands to the store; how soon another goes on."""
    with started() as new:
        print(f"  seed {size.seed}", flush=True)
        windows = die_at_random_places(new.service, new.store(), new.directory, size.lives, size.seed)
        yield Figure("R8", f"windows judged once, actions delivered once, {size.lives} kills", windows, "windows")
    with started() as new:
        yield from take_over(new.store, new.service, kills=size.takeovers)


def retraining(size: Size) -> Iterator[Figure]:
    """R9: one Job for each drift event, whoever is killed when and whatever the API server does."""
    try:
        find_or_build(print)
    except BinariesUnavailable as reason:
        pytest.skip(str(reason))
    with started() as new, control_plane(new.directory / "kubernetes") as own:
        print(f"  Kubernetes {own.cluster.version()}, seed {size.seed}", flush=True)
        found = retrain_through_faults(new.service, new.store(), own, new.directory, size.rounds, size.seed)
        yield from figures_of_retraining(found)


def upgrades(size: Size) -> Iterator[Figure]:
    """R15: releases replaced one by one under load."""
    for archive in ARCHIVES:
        with started() as new:
            print(f"  from {archive.name}", flush=True)
            yield from upgrade(new.store, new.service, unpacked(archive, new.directory), batches=size.upgrade_batches)


def forced(size: Size) -> Iterator[Figure]:
    """R23: drift events as fast as somebody can force them, for a day of a simulated clock."""
    yield from forced_events(size.forced)


def steady(size: Size) -> Iterator[Figure]:
    """R13: steady load, the store killed every five minutes."""
    fault_seconds = min(300.0, 20.0 * size.minutes)
    print(f"  {size.minutes:g} minutes, the store killed every {fault_seconds:g} s", flush=True)
    with started() as new:
        store = new.store("valkey", "--appendfsync", "always")
        yield from figures_of(soak(new.service, store, size.minutes, fault_seconds))


SECTIONS: Mapping[str, Callable[[Size], Iterator[Figure]]] = {
    "survival": survival,
    "disk_order": disk_order,
    "overload": overloaded,
    "outages": store_outages,
    "drain": draining,
    "crashes": crashes,
    "retraining": retraining,
    "upgrades": upgrades,
    "forced": forced,
    "steady": steady,
}


def run(names: Sequence[str], size: Size) -> list[Figure]:
    """One after another; a section that is not possible here says why."""
    found: list[Figure] = []
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    print(f"{cores} cores, load average {load:.1f}{': times say little of the service' if load > cores / 2 else ''}")
    for name in names:
        began = time.monotonic()
        print(f"\n{name}. {SECTIONS[name].__doc__}", flush=True)
        try:
            for figure in SECTIONS[name](size):
                print(figure, flush=True)
                found.append(figure)
        except pytest.skip.Exception as reason:
            print(f"  not run: {reason}")
        except Exception:  # noqa: BLE001 - the others are still worth their time
            print(textwrap.indent(traceback.format_exc(), "  "), flush=True)
            found.append(Figure(name, "ended with an error", 1, "errors", at_most=0))
        print(f"  took {time.monotonic() - began:.0f} s; load average {os.getloadavg()[0]:.1f}", flush=True)
    return found


def main() -> None:
    """What was promised and not kept is the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, help="of steady load, a fault every five (10)")
    parser.add_argument("--lives", type=int, help="workers that die at a random place (150)")
    parser.add_argument("--rounds", type=int, help="drift events that become one Job each (1000)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of those places (the time)")
    parser.add_argument("--only", help=f"some of: {','.join(SECTIONS)}")
    parser.add_argument("--short", action="store_true", help="a little of each, in some minutes")
    given = vars(parser.parse_args())
    names = (given.pop("only") or ",".join(SECTIONS)).split(",")
    if unknown := set(names) - SECTIONS.keys():
        parser.error(f"there is no section {', '.join(sorted(unknown))}")
    size = SHORT if given.pop("short") else Size()
    figures = run(names, replace(size, **{name: value for name, value in given.items() if value is not None}))
    print()
    for figure in figures:
        print(figure.as_json())
    if missed := list(broken(figures)):
        sys.exit("not kept:\n" + "\n".join(map(str, missed)))


if __name__ == "__main__":
    main()
