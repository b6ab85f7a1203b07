"""Rows as sidecars forward them: exact, and whatever else is in the bytes is refused by its place."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import codec
from service.domain.errors import InvalidInput
from service.domain.forwarding import ROWS_KIND
from service.domain.models import LATEST_MS
from service.http.formats import read_table

MEDIA_TYPE = "application/vnd.driftwarden.rows"
ROWS = np.array([[0.1, -0.0, 1e300], [5e-324, 1.5, 2.0]])
TIMES = np.array([1_700_000_000_123, 1_600_000_000_001], dtype=np.int64)


def document(attributes: dict[str, Any] | None = None, **arrays: Any) -> bytes:
    return codec.encode(ROWS_KIND, arrays, attributes or {})


def test_numbers_names_and_times_come_through_as_they_are() -> None:
    table = read_table(MEDIA_TYPE, document({"features": ["a", "b", "c"]}, rows=ROWS, times=TIMES))
    assert table.rows.tobytes() == ROWS.tobytes()
    assert table.features == ["a", "b", "c"]
    assert table.times is not None
    assert table.times.tolist() == TIMES.tolist()
    assert table.observed_at == datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)


def test_names_and_times_may_be_left_out() -> None:
    table = read_table(MEDIA_TYPE, document(rows=ROWS))
    assert (table.features, table.times, table.observed_at) == (None, None, None)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", "body"),
        (b"\x93NUMPY", "body"),
        (document(rows=ROWS)[:-1], "body"),
        (codec.encode("summaries", {"rows": ROWS}), "body"),
        (document(rows=ROWS, more=ROWS), "body"),
        (document({"secret": 1}, rows=ROWS), "body"),
        (document(), "rows"),
        (document(rows=ROWS[0]), "rows"),
        (document(rows=ROWS[:0]), "rows"),
        (document(rows=np.ones((2, 3), np.float32)), "rows"),
        (document(rows=np.array([[1.0, np.inf]])), "rows[0][1]"),
        (document(rows=ROWS, times=TIMES[:1]), "times"),
        (document(rows=ROWS, times=TIMES.astype(np.float64)), "times"),
        (document(rows=ROWS, times=np.array([0, -1])), "times[1]"),
        (document(rows=ROWS, times=np.array([LATEST_MS + 1, 0])), "times[0]"),
        (document({"features": "abc"}, rows=ROWS), "features"),
        (document({"features": [1, 2, 3]}, rows=ROWS), "features"),
    ],
)
def test_everything_else_is_refused_by_its_place(body: bytes, place: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_table(MEDIA_TYPE, body)
    assert [fault.place for fault in refused.value.faults] == [place]
    assert "secret" not in str(refused.value)


@given(st.integers(0, 400), st.integers(0, 255))
def test_no_damaged_byte_is_more_than_an_invalid_input(place: int, byte: int) -> None:
    body = bytearray(document({"features": ["a", "b", "c"]}, rows=ROWS, times=TIMES))
    body[place % len(body)] = byte
    try:
        read_table(MEDIA_TYPE, bytes(body))
    except InvalidInput:
        return
