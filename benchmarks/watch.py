"""How soon does the watch find a flipped byte, and what does its reading cost those who send rows?

A real service, on loopback. First, large files of which one after the other gets a byte flipped in place: the seconds
until the API says so, against what is promised for that size. Then a sparse file that is read at its pace all the time
while wrk sends batches at a calm rate, in turns with a service that watches nothing; and what was read in that time.
"""

import json
import os
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import httpx

from benchmarks.ingest import Machine, Question, bodies, measure, middle
from service.adapters.artifacts.elliptic_keys import EllipticKey
from service.adapters.artifacts.file_tree import FileTree
from service.usecases.sign_artifact import sign_artifact
from tests.processes.services import ServiceProcess
from tests.processes.waiting import eventually

PROMISED_SECONDS, PROMISED_SECONDS_PER_GB = 2.0, 0.8
MEGABYTES_PER_SECOND = 100.0
PIECE = os.urandom(2**20)
LONGEST_SECONDS = 600.0
CALM, WATCHED = "watches nothing", "reads at its pace"


def main(*, quick: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="driftwarden-watch-") as directory, ExitStack() as stack:
        root = Path(directory)
        _detection(root / "flips", stack, files=3 if quick else 8, mebibytes=64 if quick else 256)
    with tempfile.TemporaryDirectory(prefix="driftwarden-watch-") as directory, ExitStack() as stack:
        gigabytes, rounds, seconds = (2, 3, 3) if quick else (10, 9, 5)
        _cost(Path(directory), stack, gigabytes, rounds, seconds)


def _detection(root: Path, stack: ExitStack, *, files: int, mebibytes: int) -> None:
    root.mkdir()
    key = EllipticKey.new("P-256")
    places = [root / f"m{number}" for number in range(files)]
    for place in places:
        with place.open("wb") as file:
            for _ in range(mebibytes):
                file.write(PIECE)
            os.fsync(file.fileno())
        _sign(place, key)
    targets = _targets(root, key, places)
    service = ServiceProcess(root / "service", DRIFT_INTEGRITY__TARGETS=str(targets))
    stack.callback(service.stop)
    service.start()
    taken = []
    with service.client() as client:
        eventually(partial(_is_verified, client), "all are verified", timeout_s=LONGEST_SECONDS)
        for place in places:
            with place.open("r+b") as file:
                file.seek(mebibytes * 2**19)
                byte = file.read(1)[0]
                file.seek(mebibytes * 2**19)
                file.write(bytes([byte ^ 1]))
            begun = perf_counter()
            eventually(partial(_is_found, client, place.name), "it is found", timeout_s=LONGEST_SECONDS)
            taken.append(perf_counter() - begun)
    bound = PROMISED_SECONDS + PROMISED_SECONDS_PER_GB * mebibytes * 2**20 / 1e9
    print(f"{files} files of {mebibytes} MiB: found after {', '.join(f'{each:.2f}' for each in taken)} s")
    _figure("detection_seconds", max(taken), "seconds", f"the longest of {files}; promised {bound:.2f}")
    _figure("detection_of_promised", max(taken) / bound, "ratio", "the longest, of 2 s and 0.8 s a GB")
    _figure("detection_median_seconds", median(taken), "seconds", f"of {files}")


def _cost(root: Path, stack: ExitStack, gigabytes: int, rounds: int, seconds: int) -> None:
    large, key = root / "large", EllipticKey.new("P-256")
    with large.open("wb") as file:
        file.truncate(gigabytes * 10**9)
    _sign(large, key)
    targets = _targets(root, key, [large], "interval_seconds: 1", "max_age_seconds: 86400")
    machine = Machine(root, stack)
    store = machine.store()
    calm = machine.service(store)
    watched = machine.service(store, DRIFT_INTEGRITY__TARGETS=str(targets))
    base = watched.url.partition("/v1/")[0]
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as client:
        eventually(partial(_is_verified, client), "it is verified", timeout_s=LONGEST_SECONDS)
        first = gigabytes * 10**9
        eventually(lambda: _read(client) > first, "it is read again, at its pace", timeout_s=LONGEST_SECONDS)
        begun, before = perf_counter(), _read(client)
        body = bodies()["float64"]
        asked = [Question(CALM, calm, body, calm=True), Question(WATCHED, watched, body, calm=True)]
        found = measure(asked, machine.load(), [store], rounds, seconds)
        rate = (_read(client) - before) / (perf_counter() - begun)
    for name, each in found.items():
        print(
            f"{name}: p99 {middle(each, 'p99'):.2f} ms, {middle(each, 'rate'):.0f} batches/s, busy "
            f"{middle(each, 'busy'):.0%}"
        )
    # Each round stands beside the other service's, a few seconds before.
    ratio = median(ours.p99 / other.p99 for ours, other in zip(found[WATCHED], found[CALM], strict=True))
    _figure(
        "ingest_p99_ratio_while_hashing", ratio, "ratio", f"p99 beside {gigabytes} GB that are hashed at their pace"
    )
    _figure("rate_limit_ratio", rate / (MEGABYTES_PER_SECOND * 1e6), "ratio", "bytes read a second, of those allowed")


def _sign(artifact: Path, key: EllipticKey) -> None:
    _, bundle = sign_artifact(FileTree(artifact), key)
    artifact.with_name(f"{artifact.name}.sig").write_bytes(bundle.encode())


def _targets(root: Path, key: EllipticKey, artifacts: list[Path], *members: str) -> Path:
    public = root / "release.pub"
    public.write_bytes(key.public_key)
    file = root / "integrity.yaml"
    pace = f"megabytes_per_second: {MEGABYTES_PER_SECOND}"
    said = ", ".join((*members, pace))
    lines = [f"- {{name: {each.name}, path: {each}, key: {public}, {said}}}" for each in artifacts]
    file.write_text("\n".join(["targets:", *lines]))
    return file


def _is_verified(client: httpx.Client) -> bool:
    return client.get("/readyz/integrity").status_code == 200


def _is_found(client: httpx.Client, name: str) -> bool:
    targets = client.get("/v1/integrity").json()["targets"]
    return any(each["name"] == name and each["state"] == "tampered" for each in targets)


def _read(client: httpx.Client) -> float:
    """Bytes of watched files that the service has read since it was started."""
    lines = client.get("/metrics").text.splitlines()
    counted = [line for line in lines if line.startswith('driftwarden_integrity_hashed_bytes_total{target="large"}')]
    return float(counted[0].rpartition(" ")[2])


def _figure(name: str, value: float, unit: str, against: str) -> None:
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "against": against}))
