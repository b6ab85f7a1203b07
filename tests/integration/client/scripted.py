"""A server of real sockets in the place of a sidecar, which answers what a test tells it to."""

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.processes.certificates import Certificate

CUT_OFF = 0
"""In place of a status: the connection ends without an answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrived."""

    path: str
    headers: Mapping[str, str]
    """By names in small letters."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """An answer."""

    status: int = 200
    retry_after: str | None = None
    closes: bool = False
    body: bytes = b"{}"


Answers = Callable[[Asked], Said]


@dataclass(slots=True)
class Sidecar:
    """Where it is, and what it was asked."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    def keys(self) -> list[str]:
        return [each.headers["idempotency-key"] for each in self.asked]


class _Threads(socketserver.ThreadingMixIn):
    daemon_threads = True


class _Tcp(_Threads, socketserver.TCPServer):
    request_queue_size = 64


class _Unix(_Threads, socketserver.UnixStreamServer):
    pass


@contextmanager
def answering(answers: Answers, path: Path | None = None, tls: Certificate | None = None) -> Iterator[Sidecar]:
    """Listens on loopback, or on a Unix socket at `path`, while the context lasts."""
    sidecar = Sidecar()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in two pieces would wait for the first one's acknowledgement

        def setup(self) -> None:
            super().setup()
            sidecar.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            said = answers(asked)
            sidecar.asked.append(asked)
            if said.status == CUT_OFF:
                self.close_connection = True
                return
            self.send_response(said.status)
            if said.retry_after is not None:
                self.send_header("Retry-After", said.retry_after)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)
            self.close_connection = said.closes  # without a word, as servers do that have waited long enough

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = _Tcp(("127.0.0.1", 0), Handler) if path is None else _Unix(str(path), Handler)
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls.certificate, tls.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    sidecar.url = f"{scheme}://127.0.0.1:{server.server_address[1]}" if path is None else f"unix://{path}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield sidecar
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
