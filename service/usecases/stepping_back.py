"""Threads that compute for nobody who waits: on a busy core the event loop goes before them."""

import os
import sys
import threading
from contextlib import suppress

_NICENESS = 19
"""It leaves tests 1.5 % of a processor that the event loop wants all of. At 10, which would leave them a tenth, Linux
makes the event loop wait for several milliseconds every now and then, because it had its share."""


def step_back() -> None:
    """Of the thread that calls it, and of those that it starts: whoever hands in rows waits, nobody for this thread.

    Linux has a niceness for each thread; elsewhere it is the process's, which must not change. A batch thread does not
    interrupt the event loop that has just woken it. Neither can be taken back, so threads that have stepped back once
    do whatever they do later behind the event loop.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):
            os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, thread, _NICENESS)
