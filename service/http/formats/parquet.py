"""Parquet files, for references: columns by name, nulls are missing values. Needs the extra `arrow`.

For references only: they come from people who may register one, while a file's pages say how large they become only
when they are read. What its own metadata announces is bounded before, what is read is bounded as it comes.
"""

import numpy as np

from service.domain.errors import Fault, InvalidInput, UnreadableBody
from service.http.errors import BodyTooLarge
from service.http.formats.arrow_stream import arrow, checked_names, numbers
from service.http.formats.table import Payload, Rows, Table

MEDIA_TYPES = ("application/vnd.apache.parquet",)
_ROWS_AT_ONCE = 16 * 2**10
_MAXIMUM_METADATA_BYTES = 2**20


def read(payload: Payload) -> Table:
    """Raises `UnreadableBody`, `InvalidInput`, `UnsupportedFormat`, `BodyTooLarge`."""
    pa = arrow()
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    try:
        with pq.ParquetFile(
            pa.BufferReader(payload.body),
            thrift_string_size_limit=_MAXIMUM_METADATA_BYTES,
            thrift_container_size_limit=_MAXIMUM_METADATA_BYTES,
        ) as file:
            names = checked_names(pa, file.schema_arrow)
            described = file.metadata
            groups = [described.row_group(number) for number in range(described.num_row_groups)]
            announced = sum(group.total_byte_size for group in groups)
            if max(described.num_rows * len(names), announced // 8) > payload.most_bytes:
                raise BodyTooLarge
            parts, cells = list[Rows](), 0
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False):
                batch.validate(full=True)
                cells += batch.num_rows * len(names)
                if cells > payload.most_bytes:
                    raise BodyTooLarge
                parts.append(numbers(pa, batch))
    except (pa.ArrowException, OSError, ValueError, EOFError, RecursionError):
        raise UnreadableBody(Fault("body", "is no Parquet file, or is damaged")) from None
    if not any(len(part) for part in parts):
        raise InvalidInput(Fault("rows", "are missing: the file has none"))
    return Table(np.concatenate(parts), names)
