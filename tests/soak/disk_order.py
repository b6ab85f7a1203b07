"""At the level `fsync`, seen by strace: no answer leaves the service before the store's disk has the batch."""

import re
import shutil
import signal
import subprocess
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.store.senders import acknowledged, register, sending
from tests.processes.services import ServiceProcess
from tests.processes.stores import StoreServer
from tests.soak.figures import Figure

ALWAYS = ("--appendfsync", "always")
STRACE_WANTED = "no strace on PATH: install it, e.g. apt-get install strace"
_SYNCED = re.compile(r"fdatasync(?:\(| resumed>).*= 0$")
_WRITTEN = re.compile(r"XADD.*?rows from (\d+)")
_ANSWERED = re.compile(r'batch\\":\s*\\"rows from (\d+)\\".{0,60}position')


@contextmanager
def traced(output: Path, *processes: int) -> Iterator[None]:
    """What these processes write and sync meanwhile, in the order in which it happened."""
    if shutil.which("strace") is None:
        pytest.skip(STRACE_WANTED)
    calls = "trace=fsync,fdatasync,write,writev,sendto,sendmsg"
    attached = [argument for process in processes for argument in ("-p", str(process))]
    tracer = subprocess.Popen(
        ["strace", "-f", "-s", "200000", "-e", calls, "-o", str(output), *attached], stderr=subprocess.PIPE, text=True
    )
    assert tracer.stderr is not None
    for _ in processes:
        said = tracer.stderr.readline()
        if "attached" not in said:
            tracer.kill()
            tracer.communicate(timeout=30)
            pytest.skip("strace may not look at other processes here")
    try:
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=60)


def answers_follow_the_disk(
    make_store: Callable[..., StoreServer],
    make_service: Callable[..., ServiceProcess],
    directory: Path,
    *,
    batches: int,
    senders: int,
) -> list[Figure]:
    """Send so many, several at a time, so that they go to the store in groups; look at each of them."""
    store = make_store("valkey", *ALWAYS)
    settings = {"DRIFT_STORE__URL": store.url, "DRIFT_STORE__TIMEOUT_SECONDS": "10"}
    service = make_service("serve", "--ingest-only", **settings, DRIFT_STORE__ACKNOWLEDGE="fsync")
    service.start()
    with service.client() as client, store.client() as direct:
        register(client)
        writer = int(direct.info("server")["process_id"])
    each = batches // senders
    with traced(directory / "calls", service.pid, writer), sending(lambda: service, senders, each, 1) as sent:
        pass
    assert acknowledged(sent) == each * senders
    lines = (directory / "calls").read_text(errors="replace").splitlines()
    found = disk_came_first(lines, writer)
    assert len(found) == each * senders, f"strace saw {len(found)} of {each * senders}"
    early = [number for number, came_first in found.items() if not came_first]
    assert not early, f"answered before the disk had them: rows {early[:5]}"
    return [Figure("R2", f"answered before the disk had it, of {len(found)} batches", len(early), "batches", at_most=0)]


def disk_came_first(lines: Sequence[str], writer: int) -> dict[int, bool]:
    """For each batch that was both written and answered: whether a sync came to its end between the two."""
    written: dict[int, int] = {}
    answered: dict[int, int] = {}
    synced: list[int] = []
    for place, line in enumerate(lines):
        if _SYNCED.search(line):
            synced.append(place)
        if line.startswith(f"{writer} "):
            for number in map(int, _WRITTEN.findall(line)):
                written.setdefault(number, place)
        for number in map(int, _ANSWERED.findall(line)):
            answered.setdefault(number, place)
    both = written.keys() & answered.keys()
    following = {number: bisect_right(synced, written[number]) for number in sorted(both)}
    return {number: place < len(synced) and synced[place] < answered[number] for number, place in following.items()}
