"""Workers that are killed at a chosen command to the store: `python -m tests.processes.dying_workers`.

Each line on standard input, `<number> <before|after>`, is one life: a worker that SIGKILL ends at its so-many-th
command, before it is sent or just after. Every place in the cycle of an evaluator lies between two commands, so random
numbers are random places. Lives are forked from a process that has imported everything, so a life takes no second to
begin. The answer is a line with the status that the life ended with.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from redis.asyncio.connection import AbstractConnection

from service import app  # noqa: F401 - imported once, for all lives
from service.__main__ import cli
from tests.processes.services import ROOT, environment


class DyingWorkers:
    """The process that forks them, seen from the test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def live(self, command: int, *, after: bool) -> int:
        """Let one worker live until that command; the status that it ended with."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command} {'after' if after else 'before'}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


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
    try:
        yield DyingWorkers(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _live(fatal: int, *, after: bool) -> None:
    send, sent = AbstractConnection.send_packed_command, 0

    async def counted(self, *arguments, **options) -> None:
        nonlocal sent
        sent += 1
        dies = sent == fatal
        if dies and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        await send(self, *arguments, **options)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)

    AbstractConnection.send_packed_command = counted
    cli.main(["worker"], standalone_mode=False)


def _main() -> None:
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
