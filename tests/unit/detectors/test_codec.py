"""What a document keeps, what it refuses, and that hostile bytes are only ever `InvalidDocument`."""

import json
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detectors.codec import MAXIMUM_DEPTH, Document, decode, digest, encode
from detectors.errors import InvalidDocument

DTYPES = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]

names = st.text(st.characters(codec="utf-8"), max_size=8)
leaves = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | names
)
attributes = st.dictionaries(
    names,
    st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
    ),
    max_size=4,
)
arrays = st.dictionaries(
    names,
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    ),
    max_size=3,
)


def header_blob(header: object, tail: bytes = b"") -> bytes:
    """A document with an arbitrary header, otherwise well formed."""
    written = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return raw_blob(written, tail)


def raw_blob(written: bytes, tail: bytes = b"") -> bytes:
    written += b" " * (-len(written) % 8)
    return struct.pack("<3sBI", b"DWD", 1, len(written)) + written + tail


def described(*entries: object, attributes: object = None) -> dict[str, object]:
    return {"arrays": list(entries), "attributes": attributes or {}, "kind": "batch"}


def entry(shape: object, dtype: object = "float64", name: object = "rows") -> dict[str, object]:
    return {"dtype": dtype, "name": name, "shape": shape}


@given(names, arrays, attributes)
def test_what_was_encoded_is_decoded(kind, arrays, attributes):
    document = decode(encode(kind, arrays, attributes), kind=kind)
    assert document.kind == kind
    assert document.attributes == attributes
    assert document.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        decoded = document.arrays[name]
        assert decoded.dtype.name == array.dtype.name
        assert decoded.shape == array.shape
        assert decoded.tobytes() == array.tobytes()


@given(names, arrays, attributes)
def test_a_document_has_one_spelling(kind, arrays, attributes):
    blob = encode(kind, arrays, attributes)
    document = decode(blob, kind=kind)
    assert encode(kind, dict(reversed(document.arrays.items())), document.attributes) == blob


def test_decoding_copies_nothing_and_cannot_be_written_through():
    blob = encode("batch", {"rows": np.arange(6.0).reshape(2, 3)})
    rows = decode(blob, kind="batch").arrays["rows"]
    assert not rows.flags.owndata
    assert not rows.flags.writeable
    assert rows.flags.aligned
    assert rows.flags.c_contiguous


def test_views_of_mutable_bytes_are_read_only_too():
    blob = bytearray(encode("batch", {"rows": np.arange(3.0)}))
    assert not decode(blob, kind="batch").arrays["rows"].flags.writeable
    assert decode(memoryview(blob), kind="batch").arrays["rows"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("array", [np.arange(6, dtype=">i4").reshape(2, 3), np.arange(12.0).reshape(4, 3).T[::2]])
def test_byte_order_and_memory_order_do_not_matter(array):
    decoded = decode(encode("batch", {"rows": array}), kind="batch").arrays["rows"]
    assert np.array_equal(decoded, array)


def test_arrays_are_aligned_whatever_came_before():
    blob = encode("batch", {"a": np.zeros(3, np.uint8), "b": np.ones(2), "c": np.zeros(1, np.float32)}, {"odd": "x"})
    document = decode(blob, kind="batch")
    offsets = [array.__array_interface__["data"][0] for array in document.arrays.values()]
    assert [(offset - offsets[0]) % 8 for offset in offsets] == [0, 0, 0]
    assert len(blob) % 8 == 0


def test_special_numbers_keep_their_bits():
    array = np.array([np.nan, -np.nan, np.inf, -0.0, 5e-324])
    assert decode(encode("x", {"a": array}), kind="x").arrays["a"].tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("arrays", "attributes"),
    [
        ({"rows": np.array([object()])}, {}),
        ({"rows": np.array(["text"])}, {}),
        ({"rows": np.array([1j])}, {}),
        ({"rows": np.array([True])}, {}),
        ({"rows": np.zeros(2, dtype="datetime64[s]")}, {}),
        ({"rows": np.zeros(2, dtype=[("a", "f8")])}, {}),
        ({"rows": np.zeros(2, dtype=np.float16)}, {}),
        ({"rows": np.zeros((1,) * 9)}, {}),
        ({}, {"x": float("nan")}),
        ({}, {"x": float("inf")}),
        ({}, {"x": object()}),
        ({}, {"x": b"bytes"}),
        ({}, {"x": "\ud800"}),
        ({}, {1: "a number for a name"}),
        ({}, {"x": {1: "a number for a name"}}),
        ({}, {"x": 10**5000}),
        ({}, {"x": "long" * 2**20}),
    ],
)
def test_what_no_document_can_hold_is_refused(arrays, attributes):
    with pytest.raises(InvalidDocument):
        encode("batch", arrays, attributes)


def test_depth_is_limited_alike_in_both_directions():
    def nested(depth: int) -> dict[str, object]:
        value: object = 1
        for _ in range(depth - 1):
            value = [value]
        return {"x": value}

    assert decode(encode("batch", {}, nested(MAXIMUM_DEPTH)), kind="batch").attributes == nested(MAXIMUM_DEPTH)
    with pytest.raises(InvalidDocument, match="deep"):
        encode("batch", {}, nested(MAXIMUM_DEPTH + 1))
    with pytest.raises(InvalidDocument, match="deep"):
        decode(header_blob(described(attributes=nested(MAXIMUM_DEPTH + 1))), kind="batch")


HOSTILE = {
    "empty": b"",
    "short": b"DWD\x01",
    "magic": b"PK\x03\x04" + bytes(20),
    "pickle": b"\x80\x04\x95" + bytes(20),
    "version": struct.pack("<3sBI", b"DWD", 2, 0),
    "header beyond the end": struct.pack("<3sBI", b"DWD", 1, 2**32 - 1) + b"{}",
    "empty header": struct.pack("<3sBI", b"DWD", 1, 0),
    "not utf-8": raw_blob(b'{"arrays":[],"attributes":{"x":"\xff\xfe"},"kind":"batch"}'),
    "not json": raw_blob(b"{'arrays': []}"),
    "not an object": header_blob([]),
    "null": header_blob(None),
    "missing key": header_blob({"arrays": [], "kind": "batch"}),
    "additional key": header_blob({**described(), "more": 1}),
    "kind is a number": header_blob({"arrays": [], "attributes": {}, "kind": 1}),
    "arrays is an object": header_blob({"arrays": {}, "attributes": {}, "kind": "batch"}),
    "attributes is a list": header_blob({"arrays": [], "attributes": [], "kind": "batch"}),
    "another kind": header_blob({"arrays": [], "attributes": {}, "kind": "reference"}),
    "white space": raw_blob(json.dumps(described()).encode()),
    "leading space": raw_blob(b" " + json.dumps(described(), separators=(",", ":")).encode()),
    "needless padding": raw_blob(json.dumps(described(), separators=(",", ":")).encode() + b" " * 8),
    "other order of keys": raw_blob(b'{"kind":"batch","attributes":{},"arrays":[]}'),
    "key twice": raw_blob(b'{"arrays":[],"arrays":[],"attributes":{},"kind":"batch"}'),
    "nan": raw_blob(b'{"arrays":[],"attributes":{"x":NaN},"kind":"batch"}'),
    "infinity": raw_blob(b'{"arrays":[],"attributes":{"x":-Infinity},"kind":"batch"}'),
    "infinity by overflow": raw_blob(b'{"arrays":[],"attributes":{"x":1e999},"kind":"batch"}'),
    "other spelling of a number": raw_blob(b'{"arrays":[],"attributes":{"x":1.00},"kind":"batch"}'),
    "lone surrogate": raw_blob(b'{"arrays":[],"attributes":{"x":"\\ud800"},"kind":"batch"}'),
    "enormous integer": raw_blob(b'{"arrays":[],"attributes":{"x":' + b"9" * 9000 + b'},"kind":"batch"}'),
    "deep": raw_blob(b'{"arrays":[],"attributes":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b'},"kind":"batch"}'),
    "deep where a dtype belongs": raw_blob(
        b'{"arrays":[{"dtype":' + b"[" * 900 + b"]" * 900 + b',"name":"a","shape":[]}],"attributes":{},"kind":"batch"}'
    ),
    "trailing": encode("batch", {"rows": np.zeros(2)}) + bytes(8),
    "truncated": encode("batch", {"rows": np.zeros(2)})[:-1],
    "padding not zero": encode("batch", {"rows": np.zeros(3, np.uint8)})[:-1] + b"\x01",
    "entry is a list": header_blob(described(["float64", "rows", [1]]), bytes(8)),
    "entry lacks a name": header_blob(described({"dtype": "float64", "shape": [1]}), bytes(8)),
    "name is a number": header_blob(described(entry([1], name=5)), bytes(8)),
    "name twice": header_blob(described(entry([1]), entry([1])), bytes(16)),
    "names out of order": header_blob(described(entry([1], name="b"), entry([1], name="a")), bytes(16)),
    "object dtype": header_blob(described(entry([1], "object")), bytes(8)),
    "numpy spelling of a dtype": header_blob(described(entry([1], "<f8")), bytes(8)),
    "structured dtype": header_blob(described(entry([1], [["a", "<f8"]])), bytes(8)),
    "unhashable dtype": header_blob(described(entry([1], {})), bytes(8)),
    "negative": header_blob(described(entry([-1])), bytes(8)),
    "two negatives": header_blob(described(entry([-1, -1])), bytes(8)),
    "boolean extent": header_blob(described(entry([True])), bytes(8)),
    "fractional extent": header_blob(described(entry([1.0])), bytes(8)),
    "extent is text": header_blob(described(entry(["1"])), bytes(8)),
    "shape is a number": header_blob(described(entry(1)), bytes(8)),
    "huge": header_blob(described(entry([2**40])), bytes(8)),
    "overflowing product": header_blob(described(entry([2**32, 2**32])), bytes(8)),
    "overflowing to one element": header_blob(described(entry([2**63, 2, 1])), bytes(8)),
    "overflowing strides of nothing": header_blob(described(entry([0, 2**39, 2**39]))),
    "too many dimensions": header_blob(described(entry([1] * 65)), bytes(8)),
    "many small arrays and no bytes": header_blob(described(*(entry([1], name=f"{i:04}") for i in range(1000)))),
}


@pytest.mark.parametrize("blob", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_are_refused(blob):
    with pytest.raises(InvalidDocument) as refused:
        decode(blob, kind="batch")
    assert len(str(refused.value)) < 5000


def test_a_blob_beyond_the_limit_is_refused_unread():
    with pytest.raises(InvalidDocument, match="at most 16"):
        decode(b"x" * 17, kind="batch", max_bytes=16)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_only_ever_invalid(blob):
    with pytest.raises(InvalidDocument):
        decode(blob, kind="batch")


@given(st.binary(max_size=120), st.binary(max_size=40))
def test_arbitrary_headers_are_only_ever_invalid(written, tail):
    with pytest.raises(InvalidDocument):
        decode(raw_blob(written, tail), kind="batch")


json_values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=10
)
wild_entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*DTYPES, "object", "<f8", ""]) | json_values,
        "name": names | json_values,
        "shape": st.lists(st.integers(-2, 6) | st.integers(-(2**70), 2**70), max_size=4) | json_values,
    }
)


@given(st.lists(wild_entries | json_values, max_size=3), json_values, st.integers(0, 40))
@settings(max_examples=300)
def test_well_spelled_nonsense_is_refused_or_is_a_document(entries, attributes, length):
    blob = header_blob({"arrays": entries, "attributes": attributes, "kind": "batch"}, bytes(length))
    with suppress(InvalidDocument):
        document = decode(blob, kind="batch")
        assert encode("batch", document.arrays, document.attributes) == blob


@given(st.data())
@settings(max_examples=400)
def test_mutations_are_refused_or_are_another_document(data):
    original = encode(
        "batch", {"rows": np.arange(6.0).reshape(2, 3), "tags": np.arange(5, dtype=np.uint8)}, {"id": "a", "n": 2}
    )
    blob = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(blob)))
        removed = data.draw(st.integers(0, 3))
        blob[start : start + removed] = data.draw(st.binary(max_size=3))
    document: Document | None = None
    with suppress(InvalidDocument):
        document = decode(bytes(blob), kind="batch")
    if document is not None:
        assert encode("batch", document.arrays, document.attributes) == bytes(blob)


def test_digests_are_of_the_bytes():
    assert digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest(memoryview(b"abc")) == digest(b"abc")
