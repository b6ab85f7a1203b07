"""Parquet files, for references: columns by name, nulls are missing values. Needs the extra `arrow`.

For references only: they come from people who may register one, while a file's pages say how large they become only
when they are read. What its own metadata announces is bounded before, what is read is bounded as it comes.
"""

from service.domain.errors import Fault, InvalidInput, UnreadableBody
from service.http.errors import BodyTooLarge
from service.http.formats.arrow_stream import Unpacking, arrow, checked_names, holds_text, joined
from service.http.formats.table import Payload, Table

MEDIA_TYPES = ("application/vnd.apache.parquet",)
_ROWS_AT_ONCE = 16 * 2**10
_MAXIMUM_METADATA_BYTES = 2**20


def read(payload: Payload) -> Table:
    """Raises `UnreadableBody`, `InvalidInput`, `UnsupportedFormat`, `BodyTooLarge`."""
    pa = arrow()
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    bounds = dict.fromkeys(("thrift_string_size_limit", "thrift_container_size_limit"), _MAXIMUM_METADATA_BYTES)
    try:
        with pq.ParquetFile(pa.BufferReader(payload.body), **bounds) as file:
            names = checked_names(pa, file.schema_arrow, keeps_text=payload.keeps_text)
            words = [field.name for field in file.schema_arrow if holds_text(pa, field.type)]
        # Text as a dictionary, as it lies in the file: a long one that many rows have is there once.
        with pq.ParquetFile(pa.BufferReader(payload.body), read_dictionary=words, **bounds) as file:
            described = file.metadata
            groups = [described.row_group(number) for number in range(described.num_row_groups)]
            announced = sum(group.total_byte_size for group in groups)
            if max(described.num_rows * len(names), announced // 8) > payload.most_bytes:
                raise BodyTooLarge
            unpacking = Unpacking(pa, payload.most_bytes)
            batches = file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False)
            parts = [unpacking.part(batch) for batch in batches if batch.num_rows]
    except (pa.ArrowException, OSError, ValueError, EOFError, RecursionError):
        raise UnreadableBody(Fault("body", "is no Parquet file, or is damaged")) from None
    if not parts:
        raise InvalidInput(Fault("rows", "are missing: the file has none"))
    return joined(parts, names)
