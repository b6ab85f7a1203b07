"""Arrow IPC streams and Parquet files, with what they are of in the schema's metadata; written by pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from service.http.exports.table import Heading, Words, label_names, worded
from service.usecases.export_rows import ExportedRows

if TYPE_CHECKING:  # imported by whoever asks for these formats only: it takes a while, and may not be there
    import pyarrow as pa

STREAM_MEDIA_TYPE = "application/vnd.apache.arrow.stream"
PARQUET_MEDIA_TYPE = "application/vnd.apache.parquet"
METADATA_KEY = b"driftwarden"


class _Pieces:
    """A file that is only written to, and gives what came since it was asked last."""

    closed = False

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._written = 0

    def write(self, data: bytes) -> int:
        self._held.append(data)
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """What is held can still be taken."""

    def taken(self) -> bytes:
        held, self._held = self._held, []
        return b"".join(held)


class ArrowStreamWriter:
    """A `TableWriter`: one record batch for each call."""

    def __init__(self, heading: Heading) -> None:
        import pyarrow as pa  # noqa: PLC0415

        self._schema, self._words = _schema(heading), heading.words
        self._pieces = _Pieces()
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._pieces, mode="w"), self._schema)

    def write(self, pieces: Sequence[ExportedRows]) -> bytes:
        self._writer.write_batch(_record_batch(pieces, self._schema, self._words))
        return self._pieces.taken()

    def end(self) -> bytes:
        self._writer.close()
        return self._pieces.taken()


class ParquetWriter:
    """A `TableWriter`: one row group for each call. Without its end nobody reads any of it."""

    def __init__(self, heading: Heading) -> None:
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415

        self._schema, self._words = _schema(heading), heading.words
        self._pieces = _Pieces()
        self._writer = parquet.ParquetWriter(pa.PythonFile(self._pieces, mode="w"), self._schema, compression="zstd")

    def write(self, pieces: Sequence[ExportedRows]) -> bytes:
        self._writer.write_batch(_record_batch(pieces, self._schema, self._words))
        return self._pieces.taken()

    def end(self) -> bytes:
        self._writer.close()
        return self._pieces.taken()


def _schema(heading: Heading) -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415

    numbers, text = pa.float64(), pa.string()
    fields = [
        pa.field(name, text if place in heading.words else numbers) for place, name in enumerate(heading.features)
    ]
    fields += [
        pa.field(heading.event_time, pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field(heading.batch, pa.string(), nullable=False),
        pa.field(heading.verdict, pa.int64(), nullable=False),
    ]
    if heading.label is not None:
        fields.append(pa.field(heading.label, text, nullable=False))
    return pa.schema(fields, metadata={METADATA_KEY: heading.metadata.encode()})


def _record_batch(pieces: Sequence[ExportedRows], schema: pa.Schema, words: Words) -> pa.RecordBatch:
    import pyarrow as pa  # noqa: PLC0415

    counts = [len(piece.of.rows) for piece in pieces]
    times = np.concatenate([piece.of.times for piece in pieces]).astype("datetime64[ms]")
    batches = pa.DictionaryArray.from_arrays(
        np.repeat(np.arange(len(pieces)), counts), pa.array([piece.of.identifier for piece in pieces], pa.string())
    )
    width = pieces[0].of.rows.shape[1]
    features = [np.concatenate([piece.of.rows[:, column] for piece in pieces]) for column in range(width)]
    columns = [
        pa.array(worded(values, words[place]), pa.string()) if place in words else pa.array(values)
        for place, values in enumerate(features)
    ]
    columns += [
        pa.array(times, schema.field(len(columns)).type),
        batches.cast(pa.string()),
        pa.array(np.repeat([piece.verdict for piece in pieces], counts), pa.int64()),
    ]
    labels = [piece.labels for piece in pieces if piece.labels is not None]
    if labels:
        columns.append(pa.array(label_names(np.concatenate(labels)), pa.string()))
    return pa.record_batch(columns, schema=schema)
