"""From a body as it arrived to what is in it: its coding undone within bounds, read on a thread if it is large."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from anyio import to_thread
from starlette.requests import Request
from starlette.types import Receive

from service.http.admission import Admission
from service.http.errors import BodyTooLarge
from service.http.formats.content_coding import coding_of, declared_coding, most_unpacked, unpacked
from service.http.limits import bounded_body

READ_ON_THE_LOOP = 128 * 2**10
"""Bytes. Handing a smaller body to a thread costs more than reading it."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BodyBounds:
    """Of one batch."""

    max_bytes: int
    """As it arrives, and of what it unpacks to."""
    seconds: float


class Bodies:
    """What it takes to hold one, and to read it."""

    def __init__(self, admission: Admission, bounds: BodyBounds) -> None:
        self._admission = admission
        self._bounds = bounds

    @property
    def max_bytes(self) -> int:
        """Of one, as it arrives and unpacked."""
        return self._bounds.max_bytes

    def size(self, content_length: str | None, content_encoding: str | None) -> int:
        """Bytes to be reckoned with before it is read: without a word of it, as many as it may be.

        Raises `BodyTooLarge`, `UnsupportedFormat`.
        """
        most, declared = self._bounds.max_bytes, content_length or ""
        size = int(declared) if declared.isdecimal() and len(declared) < 20 else most
        if size > most:
            raise BodyTooLarge
        return size if declared_coding(content_encoding) is None else most_unpacked(size, most)

    @asynccontextmanager
    async def held(self, model: str, request: Request) -> AsyncIterator[bytes]:
        """The body, which has room while this lasts. Raises what `size`, `Admission.place` and `receive` do."""
        headers = request.headers
        with self._admission.place(model, self.size(headers.get("content-length"), headers.get("content-encoding"))):
            yield await self.receive(request.receive)

    async def receive(self, receive: Receive) -> bytes:
        """Raises `BodyTooLarge`, `SlowBody`, `ClientDisconnect`."""
        return await bounded_body(receive, self._bounds.max_bytes, self._bounds.seconds)

    async def read(self, model: str, content_encoding: str | None, body: bytes, read: Callable[[bytes], T]) -> T:
        """What `read` makes of it. Raises what it does, `UnreadableBody`, `BodyTooLarge`; `Overloaded`, `Saturated`."""
        coding = coding_of(content_encoding, body)
        if coding is None:
            if len(body) <= READ_ON_THE_LOOP:
                return read(body)
            return await to_thread.run_sync(read, body)
        most = self._bounds.max_bytes
        if declared_coding(content_encoding) is not None:  # `size` has reckoned with it
            return await to_thread.run_sync(lambda: read(unpacked(coding, body, most)))
        with self._admission.place(model, most_unpacked(len(body), most)):
            return await to_thread.run_sync(lambda: read(unpacked(coding, body, most)))
