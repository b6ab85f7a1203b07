"""An export on its way: encoded on a thread, sent as fast as it is taken, and never longer in memory than a piece."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager

from anyio import fail_after, to_thread
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from service.domain.errors import DriftwardenError, Saturated
from service.http.exports.table import TableWriter
from service.usecases.export_rows import Export, ExportedRows

PIECE_ROWS = 65_536
PIECE_BYTES = 4 * 2**20
"""Of numbers, before they are encoded."""
SEND_SECONDS = 60.0
"""A caller that takes nothing for so long is given up."""
AT_ONCE = 4
_RETRY_AFTER_SECONDS = 5.0
_log = logging.getLogger(__name__)


class ExportPlaces:
    """So many exports at the same time: each holds a piece, and reads the store for as long as it lasts."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._free = at_once

    def take(self) -> Callable[[], None]:
        """Gives back what gives the place back; raises `Saturated`."""
        if not self._free:
            raise Saturated("as many exports are under way as this process gives at once", _RETRY_AFTER_SECONDS)
        self._free -= 1
        returned = False

        def give_back() -> None:
            nonlocal returned
            self._free += not returned
            returned = True

        return give_back

    @contextmanager
    def kept_if_all_is_well(self) -> Iterator[Callable[[], None]]:
        """A place for a response, which gives it back itself; given back here if there is none to be."""
        give_back = self.take()
        try:
            yield give_back
        except BaseException:
            give_back()
            raise


async def encoded(export: Export, writer: TableWriter) -> AsyncIterator[bytes]:
    """The file, piece by piece; raises what the export raises, and then it has no end."""
    held, rows, size = list[ExportedRows](), 0, 0
    async for piece in export.pieces:
        held.append(piece)
        rows, size = rows + len(piece.of.rows), size + piece.of.rows.nbytes
        if rows >= PIECE_ROWS or size >= PIECE_BYTES:
            written = await to_thread.run_sync(writer.write, held)
            held, rows, size = [], 0, 0  # before the caller takes its time
            yield written
    last = await to_thread.run_sync(writer.write, held) if held else b""
    yield last + await to_thread.run_sync(writer.end)


class ExportResponse(StreamingResponse):
    """Ends the connection where the export ends before it is whole, so that no caller takes a part for all of it."""

    def __init__(
        self,
        first: Sequence[bytes | None],
        rest: AsyncIterator[bytes],
        give_back: Callable[[], None],
        media_type: str,
        file_name: str,
    ) -> None:
        """`first` ends with None if there is no `rest`: then the length is known."""
        known = [piece for piece in first if piece is not None]
        headers = {"Content-Disposition": f'attachment; filename="{file_name}"', "Vary": "Accept"}
        if len(known) < len(first):
            headers["Content-Length"] = str(sum(map(len, known)))
        super().__init__(_chained(known, rest), headers=headers, media_type=media_type)
        self._give_back = give_back

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._give_back()

    async def stream_response(self, send: Send) -> None:
        """Without the last message of the protocol if something goes wrong: the server then ends the connection."""

        async def in_time(message: Message) -> None:
            with fail_after(SEND_SECONDS):
                await send(message)

        try:
            await super().stream_response(in_time)
        except DriftwardenError as error:
            _log.warning("an export was cut off: %s", error)
        except TimeoutError:
            _log.warning("an export was cut off: its caller took nothing for %g s", SEND_SECONDS)


async def _chained(first: Sequence[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for piece in first:
        yield piece
    async for piece in rest:
        yield piece
