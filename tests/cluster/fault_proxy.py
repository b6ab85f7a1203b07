"""A TLS server in front of the API server that does to requests what overloaded and dying API servers do.

Each request goes over a connection of its own, so that a connection can be ended at any moment of one.
"""

import asyncio
import json
import ssl
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from tests.cluster.api import Cluster


class Fault(StrEnum):
    """What befalls a request."""

    NONE = "NONE"
    CONFLICT = "CONFLICT"
    """409, as of a write that met another one; nothing was done."""
    TAKEN = "TAKEN"
    """409 for a name that, when it is looked at, is not there."""
    BUSY = "BUSY"
    """429 with `Retry-After`; nothing was done."""
    ERROR = "ERROR"
    """500; nothing was done."""
    ERROR_AFTER = "ERROR_AFTER"
    """500, and yet it was carried out."""
    CUT_BEFORE = "CUT_BEFORE"
    """The connection ends, and nothing was done."""
    CUT_AFTER = "CUT_AFTER"
    """It was carried out; the connection ends without an answer."""
    CUT_WITHIN = "CUT_WITHIN"
    """It was carried out; half of the answer comes."""
    SILENT_AFTER = "SILENT_AFTER"
    """It was carried out; nothing comes, until whoever asked has given up."""


_ANSWERS = {
    Fault.CONFLICT: (409, "Conflict", ""),
    Fault.TAKEN: (409, "AlreadyExists", ""),
    Fault.BUSY: (429, "TooManyRequests", "Retry-After: 0\r\n"),
    Fault.ERROR: (500, "InternalError", ""),
    Fault.ERROR_AFTER: (500, "InternalError", ""),
}
_NOTHING_DONE = frozenset({Fault.CONFLICT, Fault.TAKEN, Fault.BUSY, Fault.ERROR, Fault.CUT_BEFORE})

Choice = Callable[[str, str], Fault]
"""By method and path."""


class FaultProxy:
    """Serves in a thread of its own; `url` is where."""

    def __init__(self, cluster: Cluster, certificate: Path, key: Path, choose: Choice) -> None:
        self.choose = choose
        self.befallen: Counter[Fault] = Counter()
        self.url = ""
        self._upstream = urlsplit(cluster.server)
        self._trusted = ssl.create_default_context(cafile=cluster.ca_file)
        self._own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._own.load_cert_chain(certificate, key)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._own)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(30)
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Closing one waits for the other end's farewell, and one whose handshake goes on is nobody's yet: those of
        # whoever was killed would be open when the loop is not there any more. No public name leads to them.
        for transport in list(getattr(self._loop, "_transports", {}).values()):
            transport.abort()
        await asyncio.sleep(0)  # in which they end

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._attend(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whoever is killed leaves at any moment: that is what this is for.
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_length(head))
                method, path = head.split(b" ", 2)[:2]
                fault = self.choose(method.decode(), path.decode())
                self.befallen[fault] += 1
                answering = asyncio.create_task(self._answer(fault, _alone(head) + body, writer))
                gone = asyncio.create_task(reader.read())
                try:
                    await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    answering.cancel()
                    gone.cancel()
                    await asyncio.gather(answering, gone, return_exceptions=True)
            finally:
                writer.close()

    async def _answer(self, fault: Fault, request: bytes, writer: asyncio.StreamWriter) -> None:
        if fault is Fault.NONE:
            await self._forward(request, writer.write, writer.drain)
            return
        answer = bytearray()
        if fault not in _NOTHING_DONE:
            await self._forward(request, answer.extend)
        if fault in _ANSWERS:
            writer.write(_status(*_ANSWERS[fault]))
            await writer.drain()
        elif fault is Fault.CUT_WITHIN:
            writer.write(answer[: len(answer) // 2])
            await writer.drain()
        elif fault is Fault.SILENT_AFTER:
            await asyncio.Event().wait()  # until whoever asked is gone

    async def _forward(
        self, request: bytes, take: Callable[[bytes], object], taken: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        host, port = self._upstream.hostname, self._upstream.port
        reader, writer = await asyncio.open_connection(host, port, ssl=self._trusted)
        try:
            writer.write(request)
            while some := await reader.read(2**16):
                take(some)
                if taken is not None:
                    await taken()
        finally:
            writer.close()


@contextmanager
def faults_before(cluster: Cluster, choose: Choice = lambda _, __: Fault.NONE) -> Iterator[FaultProxy]:
    """A proxy with the API server's own certificate, which its control plane keeps beside its authority's."""
    directory = cluster.ca_file.parent
    proxy = FaultProxy(cluster, directory / "server.crt", directory / "server.key", choose)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _alone(head: bytes) -> bytes:
    """The same request, after which the connection is to end, so that its end is the answer's."""
    lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""])


def _status(code: int, reason: str, header: str) -> bytes:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}
    body = json.dumps({**status, "message": f"a fault of the tests: {reason}"})
    head = f"HTTP/1.1 {code} {reason}\r\n{header}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n{body}".encode()
