"""The load generator, which is not ours: wrk, told what to send, and what it says afterwards."""

import json
import os
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """
local file = io.open(os.getenv("LOAD_BODY"), "rb")
wrk.method, wrk.body = "POST", file:read("*all")
file:close()
wrk.headers["Content-Type"] = os.getenv("LOAD_TYPE")
if os.getenv("LOAD_KEY") ~= "" then wrk.headers["Authorization"] = "Bearer " .. os.getenv("LOAD_KEY") end
if os.getenv("LOAD_HEAD") ~= "" then
  wrk.headers["Inference-Header-Content-Length"] = os.getenv("LOAD_HEAD")
end
local name, pause, count = os.getenv("LOAD_NAME"), tonumber(os.getenv("LOAD_PAUSE")), 0
if name ~= "" then
  request = function()
    count = count + 1
    wrk.headers["Idempotency-Key"] = name .. count
    return wrk.format()
  end
end
if pause > 0 then
  delay = function() return math.random(0, 2 * pause) end
end
done = function(summary, latency, requests)
  local wrong = summary.errors
  io.write(string.format('\\n{"requests": %d, "seconds": %f, "median": %f, "p99": %f, "refused": %d, "broken": %d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    wrong.status, wrong.connect + wrong.read + wrong.write + wrong.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent."""

    content: bytes
    media_type: str
    head_bytes: int | None = None
    """`Inference-Header-Content-Length`, if it is sent."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a round."""

    rate: float
    """Batches acknowledged a second."""
    median: float
    """Milliseconds from a request to its answer."""
    p99: float
    busy: float
    """Part of the time in which the server used its processor."""
    processor: float
    """Microseconds of the server's processor, a batch."""
    refused: float
    """Part of the requests that were told to come again."""


def load_generator() -> str:
    """Where it is; raises `SystemExit` saying what to install."""
    found = shutil.which("wrk")
    if found is None:
        raise SystemExit(
            "this benchmark needs wrk, a load generator, on PATH: apt-get install wrk (or: brew install wrk)"
        )
    return found


@dataclass(frozen=True, slots=True)
class Load:
    """Sends one body again and again over a number of connections."""

    directory: Path
    cores: frozenset[int]
    """Where the load generator runs."""
    key: str = ""
    """Sent with every request, if there is one."""

    def send(
        self, url: str, process: int, body: Body, seconds: int, *, connections: int, pause: int = 0, name: str = ""
    ) -> Answered:
        """For so long; `pause` milliseconds on average between answer and next request, under names if `name` is given.

        What is refused counts neither as a batch nor for nothing: its processor time is the acknowledged ones'.
        """
        script, content = self.directory / "load.lua", self.directory / "body"
        script.write_text(_SCRIPT)
        content.write_bytes(body.content)
        told = {"LOAD_BODY": str(content), "LOAD_TYPE": body.media_type, "LOAD_NAME": name, "LOAD_PAUSE": str(pause)}
        told["LOAD_KEY"] = self.key
        told["LOAD_HEAD"] = "" if body.head_bytes is None else str(body.head_bytes)
        command = [
            load_generator(),
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--timeout",
            "60s",
            "-s",
            str(script),
            url,
        ]
        before = _processor_seconds(process)
        with pinned(self.cores):
            said = subprocess.run(
                command, env={**os.environ, **told}, capture_output=True, text=True, check=True
            ).stdout
        used = _processor_seconds(process) - before
        answers = json.loads(said.splitlines()[-1])
        taken, lasted = answers["requests"] - answers["refused"], answers["seconds"]
        if answers["broken"] or not taken:
            raise SystemExit(
                f"of {answers['requests']} requests to {url}, {answers['broken']} broke, {taken} were taken"
            )
        refused = answers["refused"] / answers["requests"]
        return Answered(taken / lasted, answers["median"], answers["p99"], used / lasted, used / taken * 1e6, refused)


class pinned:  # noqa: N801 - reads as what it does
    """Let processes that are started meanwhile run on these cores only, where the system can do that."""

    def __init__(self, cores: frozenset[int]) -> None:
        self._cores = cores
        self._before: set[int] = set()

    def __enter__(self) -> None:
        if hasattr(os, "sched_setaffinity"):
            self._before = os.sched_getaffinity(0)
            os.sched_setaffinity(0, self._cores)

    def __exit__(self, *_: object) -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self._before)


def _processor_seconds(process: int) -> float:
    """Of all its threads, as the scheduler counts it: to the nanosecond, where /proc/.../stat counts hundredths."""
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
    except OSError:
        return float("nan")
    used = 0
    for thread in threads:
        with suppress(OSError):  # it has ended meanwhile
            used += int((thread / "schedstat").read_text().split()[0])
    return used / 1e9
