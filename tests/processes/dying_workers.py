"""Workers that are killed at a chosen step: `python -m tests.processes.dying_workers`.

Each line on standard input, `<number> <before|after>`, is one life: a worker that SIGKILL ends at its so-many-th
step, before it or just after. A step is a command to the store that is sent, or a request to the Kubernetes API that is
answered. Every place in a worker's cycle lies between two of them, so random numbers are random places. Lives are
forked from a process that has imported everything, so a life takes no second to begin. The answer is a line with the
status that the life ended with.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import aiohttp
from redis.asyncio.connection import AbstractConnection

from service import app  # noqa: F401 - imported once, for all lives
from service.__main__ import cli
from tests.processes.services import ROOT, environment

Step = Callable[..., Awaitable[object]]


class DyingWorkers:
    """The process that forks them, seen from the test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def live(self, step: int, *, after: bool) -> int | None:
        """Let one worker live until that step; the status that it ended with. None: all were ended meanwhile."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{step} {'after' if after else 'before'}\n")
        self._process.stdin.flush()
        status = self._process.stdout.readline()
        return int(status) if status else None

    def end(self) -> None:
        """Whatever still lives."""
        os.killpg(self._process.pid, signal.SIGKILL)


@contextmanager
def dying_workers(log: Path, settings: Mapping[str, str]) -> Iterator[DyingWorkers]:
    """Start the process, and end it with whatever still lives."""
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.processes.dying_workers"],
            env={**environment(), **one_thread, "DRIFT_WORKER__PORT": "0", **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    workers = DyingWorkers(process)
    try:
        yield workers
    finally:
        workers.end()
        process.communicate()


def _live(fatal: int, *, after: bool) -> None:
    steps = 0

    def counted(step: Step) -> Step:
        async def taken(*arguments, **options):
            nonlocal steps
            steps += 1
            dies = steps == fatal
            if dies and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = await step(*arguments, **options)
            if dies:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return taken

    AbstractConnection.send_packed_command = counted(AbstractConnection.send_packed_command)
    aiohttp.ClientSession._request = counted(aiohttp.ClientSession._request)
    cli.main(["worker"], standalone_mode=False)


def _main() -> None:
    if os.environ.get("DRIFT_TRIGGER__KIND") == "kubernetes":
        for name in ("kubernetes_object", "kubernetes_runs"):
            import_module(f"service.adapters.trigger.{name}")
    for line in sys.stdin:
        number, when = line.split()
        child = os.fork()
        if child == 0:
            os.dup2(2, 1)
            try:
                _live(int(number), after=when == "after")
            finally:
                os._exit(1)  # a life is to be ended, not to end
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _main()
