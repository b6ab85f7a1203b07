"""How a benchmark and the processes that it measures talk: JSON and arrays over pipes, the same for every side.

Two ways that need different libraries cannot be timed in one process, so each lives in its own, in its own
environment, and is asked in turn. Time is taken in there, around the call alone: the pipe is on nobody's bill. It is
the processor's time, which on one thread of an idle machine is the clock's; on a busy one, a call of ten seconds would
wait for others far more often than one of ten milliseconds, and the ratio would flatter the short one.
"""

import json
import os
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from time import perf_counter, process_time
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Answer = dict[str, Any]
Way = Callable[[Rows], Answer]
"""From a window to its answer: numbers and arrays by name."""
Fit = Callable[..., Way]
"""From reference rows, and parameters by name, to a way."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")


def send(stream: BinaryIO, message: Mapping[str, Any], arrays: Sequence[NDArray[Any]] = ()) -> None:
    """Length and JSON, which says how long the .npy files are that follow, one for each array."""
    files = [BytesIO() for _ in arrays]  # numpy writes and reads real files by their position, which a pipe has not
    for file, array in zip(files, arrays, strict=True):
        np.lib.format.write_array(file, array, allow_pickle=False)
    encoded = json.dumps({**message, "arrays": [file.tell() for file in files]}, default=_as_json).encode()
    stream.write(struct.pack("<I", len(encoded)) + encoded)
    for file in files:
        stream.write(file.getbuffer())
    stream.flush()


def receive(stream: BinaryIO) -> tuple[Answer, list[NDArray[Any]]]:
    """What was sent; raises `EOFError` where nothing more comes."""
    length = stream.read(4)
    if len(length) < 4:
        raise EOFError("the other process has gone; what it said is above")
    message = json.loads(stream.read(struct.unpack("<I", length)[0]))
    files = [BytesIO(stream.read(size)) for size in message.pop("arrays")]
    return message, [np.lib.format.read_array(file, allow_pickle=False) for file in files]


def _as_json(value: Any) -> Any:
    return np.asarray(value).tolist()


def serve(fits: Mapping[str, Fit], machine: Callable[[], Answer]) -> None:
    """Answer on this process's own pipes until they close: `describe`, `fit` a way, `test` a window."""
    with os.fdopen(os.dup(0), "rb") as source, os.fdopen(os.dup(1), "wb") as sink:
        sys.stdout = sys.stderr  # what libraries print is not for the other side
        os.dup2(2, 1)
        fitted: dict[str, Way] = {}
        while True:
            try:
                question, arrays = receive(source)
            except EOFError:
                return
            if question["do"] == "describe":
                send(sink, machine())
            elif question["do"] == "fit":
                fitted.pop(question["way"], None)
                fitted[question["way"]] = fits[question["way"]](arrays[0], **question["parameters"])
                send(sink, {})
            elif question["do"] == "forget":
                fitted.clear()
                send(sink, {})
            else:
                way, window = fitted[question["way"]], arrays[0]
                began = perf_counter(), process_time()
                answer = way(window)
                clock, seconds = perf_counter() - began[0], process_time() - began[1]
                send(sink, {"seconds": seconds, "clock": clock, "answer": answer})
