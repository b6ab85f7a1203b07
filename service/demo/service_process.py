"""The service as a process of its own, as an operator would start it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click import ClickException

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


@contextmanager
def running_service(directory: Path, **settings: str) -> Iterator[str]:
    """Start `driftwarden serve` with its data in `directory`; yields its URL.

    The environment stays in force, but for `settings` (names and values of environment variables).
    """
    log = directory / "service.log"
    environment = {
        "DRIFT_HTTP__PORT": "0",
        "DRIFT_STORE__EMBEDDED_DIRECTORY": str(directory / "store"),
        **os.environ,
        **settings,
        "DRIFT_TELEMETRY__LOG_FORMAT": "json",
        "DRIFT_TELEMETRY__LOG_LEVEL": "info",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve"], env=environment, stdout=output, stderr=output
        )
        try:
            yield _url(process, log)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith("{") and "url" in (entry := json.loads(line)):
                return str(entry["url"])
        if process.poll() is not None:
            raise ClickException(f"the service did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.05)
    raise ClickException(f"the service did not start within {_START_SECONDS:.0f} s:\n{log.read_text(errors='replace')}")
