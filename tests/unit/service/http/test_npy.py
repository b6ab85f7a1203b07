"""`.npy` bodies: what numpy writes is read to the last bit; everything else is refused with its place."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from service.domain.errors import InvalidInput
from service.http.formats import npy, read_table
from service.http.formats.table import Payload

DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"]
VERSIONS = [(1, 0), (2, 0), (3, 0)]


def written(array: NDArray[Any], version: tuple[int, int] = (1, 0)) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=False)
    return file.getvalue()


def spelled(header: str | bytes, numbers: bytes = bytes(48), version: bytes = b"\x01\x00") -> bytes:
    """A file whose header says just this; by default with the numbers of 2 x 3 float64."""
    text = header.encode() if isinstance(header, str) else header
    return b"\x93NUMPY" + version + len(text).to_bytes(2 if version[0] == 1 else 4, "little") + text + numbers


def places(body: bytes) -> list[str]:
    with pytest.raises(InvalidInput) as raised:
        npy.read(Payload(body))
    return [fault.place for fault in raised.value.faults]


def exact(name: str) -> Any:
    """Numbers of that type that float64 holds as they are."""
    dtype = np.dtype(name)
    if dtype.kind not in "iu":
        return arrays.from_dtype(dtype, allow_nan=False, allow_infinity=False)
    held = np.iinfo(dtype)
    return arrays.from_dtype(dtype, min_value=max(held.min, -(2**53)), max_value=min(held.max, 2**53))


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda name: arrays.arrays(
            st.sampled_from([np.dtype(name), np.dtype(name).newbyteorder()]),
            arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
            elements=exact(name),
        )
    ),
    st.sampled_from("CF"),
    st.sampled_from(VERSIONS),
)
def test_what_numpy_writes_is_read(array: NDArray[Any], order: Any, version: tuple[int, int]) -> None:
    table = npy.read(Payload(written(np.asarray(array, order=order), version)))
    assert table.rows.dtype == np.float64
    assert table.rows.flags.c_contiguous
    assert table.rows.tobytes() == np.ascontiguousarray(array.astype(np.float64)).tobytes()
    assert (table.features, table.observed_at) == (None, None)


def test_float64_is_not_copied() -> None:
    body = written(np.arange(6.0).reshape(2, 3))
    rows = npy.read(Payload(body)).rows
    assert rows.base is not None
    assert np.shares_memory(rows, np.frombuffer(body, np.uint8))
    assert not rows.flags.writeable


@pytest.mark.parametrize(
    ("header", "place"),
    [
        ("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }", "header.descr"),
        ("{'descr': '<f16', 'fortran_order': False, 'shape': (2, 3), }", "header.descr"),
        ("{'descr': '<c16', 'fortran_order': False, 'shape': (2, 3), }", "header.descr"),
        ("{'descr': '<U4', 'fortran_order': False, 'shape': (2, 3), }", "header.descr"),
        ("{'descr': '|S8', 'fortran_order': False, 'shape': (2, 3), }", "header.descr"),
        ("{'descr': '|V8', 'fortran_order': False, 'shape': (2, 3), }", "header.descr"),
        ("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (2, 3), }", "header.descr"),
        ("{'descr': '|f8', 'fortran_order': False, 'shape': (2, 3), }", "header.descr"),
        ("{'descr': 'f8', 'fortran_order': False, 'shape': (2, 3), }", "header.descr"),
        ("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (6,), }", "header.descr"),
        ("{'descr': __import__('os').abort(), 'fortran_order': False, 'shape': (2, 3), }", "header.descr"),
        ("{'descr': '<f8', 'fortran_order': 0, 'shape': (2, 3), }", "header.fortran_order"),
        ("{'descr': '<f8', 'fortran_order': None, 'shape': (2, 3), }", "header.fortran_order"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (6,), }", "header.shape"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (), }", "header.shape"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2, 3), }", "header.shape"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (-2, -3), }", "header.shape"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2.0, 3), }", "header.shape"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': [2, 3], }", "header.shape"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 3), }", "header.shape"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 0), }", "header.shape"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999999, 1), }", "header.shape"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 999999999999), }", "body"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }", "body"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4), }", "body"),
        ("{'descr': '<f8', 'fortran_order': False, }", "header.shape"),
        ("{'descr': '<f8', 'shape': (2, 3), }", "header.fortran_order"),
        ("{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }", "header.descr"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), 'more': 1}", "header"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), ", "header"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), } or 1", "header"),
        ("1 or {'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }", "header"),
        ("{}", "header"),
        ("", "header"),
        ("{" * 500, "header"),
        (" " * 2000, "header"),
        (b"\xff\xfe\x00", "header"),
    ],
)
def test_a_header_that_is_not_of_the_grammar_is_refused_with_the_place(header: str | bytes, place: str) -> None:
    assert place in places(spelled(header))


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }                 \n",
        '{"shape":(2,3),"fortran_order":False,"descr":"<f8"}',
        "  { 'descr' : '<f8' , 'fortran_order' : False , 'shape' : ( 2 , 3 , ) }",
    ],
)
def test_other_writers_may_space_and_order_it_otherwise(header: str) -> None:
    for version in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        assert npy.read(Payload(spelled(header, version=version))).rows.shape == (2, 3)


def test_what_is_cut_off_or_goes_on_is_refused_wherever() -> None:
    body = written(np.ones((2, 3)))
    for length in range(len(body)):
        assert places(body[:length]), length
    assert places(body + b"\0") == ["body"]


@pytest.mark.parametrize(
    "start", [b"", b"\x93NUMPX\x01\x00", b"\x93NUMPY\x04\x00", b"\x93NUMPY\x01\x01", b"PK\x03\x04", b"{}"]
)
def test_what_is_no_such_file_is_refused(start: bytes) -> None:
    assert places(start + written(np.ones((2, 3)))[8:]) == ["body"]


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8"])
def test_numbers_that_are_not_finite_are_refused_by_their_place(value: float, dtype: str) -> None:
    rows = np.zeros((4, 3), dtype)
    rows[1, 2] = rows[3, 0] = value
    assert places(written(np.asfortranarray(rows))) == ["rows[1][2]", "rows[3][0]"]
    assert len(places(written(np.full((500, 50), value, dtype)))) == 20


def test_a_truth_value_is_zero_or_one() -> None:
    body = bytearray(written(np.zeros((2, 3), bool)))
    body[-1] = 2
    assert places(bytes(body)) == ["rows[1][2]"]


@given(st.data())
def test_damaged_files_are_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    body = bytearray(written(np.ones((2, 3), "<f4")))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert not np.isinf(npy.read(Payload(bytes(body))).rows).any()
    except InvalidInput:
        assert places(bytes(body))


def test_its_media_type_is_known() -> None:
    assert read_table("application/x-npy", written(np.ones((2, 3)))).rows.shape == (2, 3)
