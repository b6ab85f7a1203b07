"""V2 bodies: every datatype to the last bit, as JSON and as bytes, with and without a word of where the JSON ends."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from service.domain.errors import InvalidInput, UnreadableBody
from service.http.formats import read_table
from service.http.formats.json_end import MAXIMUM_HEAD_BYTES, end_of_object
from service.http.formats.open_inference import read_outputs
from service.http.formats.table import Payload
from tests.processes.payloads import DATATYPES, raw, tensor, v2_binary

BINARY, JSON = "application/octet-stream", "application/json"
ROWS = np.arange(6.0).reshape(2, 3)
PERSONAL = "4711.0815"


def places(body: bytes, head: int | None = None, content_type: str = BINARY) -> list[str]:
    with pytest.raises(InvalidInput) as raised:
        read_table(content_type, body, head)
    assert PERSONAL not in str(raised.value)
    return [fault.place for fault in raised.value.faults]


def document(*tensors: dict[str, Any]) -> bytes:
    return json.dumps({"inputs": list(tensors)}).encode()


def flat(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    return tensor(name, datatype, shape, data=data)


numbers = st.sampled_from([name for name in DATATYPES if name != "BOOL"]).flatmap(
    lambda name: st.tuples(
        st.just(name),
        arrays.arrays(
            np.dtype(DATATYPES[name]),
            arrays.array_shapes(min_dims=1, max_dims=3, max_side=4),
            elements=arrays.from_dtype(
                np.dtype(DATATYPES[name]),
                allow_nan=False,
                allow_infinity=False,
                **({} if "FP" in name or "64" not in name else {"min_value": 0, "max_value": 2**53}),
            ),
        ),
    )
)


@given(numbers, st.booleans())
def test_a_binary_tensor_is_read_to_the_last_bit(drawn: tuple[str, NDArray[Any]], told: bool) -> None:
    datatype, array = drawn
    body, head = v2_binary({"x": (datatype, array)}, id="1")
    table = read_table(BINARY, body, head if told else None)
    assert table.features is None
    assert table.rows.tolist() == array.astype(np.float64).reshape(len(array), -1).tolist()


@pytest.mark.parametrize("told", [True, False])
def test_a_tensor_of_bytes_that_look_like_white_space_is_a_tensor(told: bool) -> None:
    body, head = v2_binary({"x": ("UINT8", np.array([32, 10], dtype=np.uint8))})
    assert read_table(BINARY, body, head if told else None).rows.tolist() == [[32.0], [10.0]]


@given(numbers)
def test_the_same_as_json_is_the_same(drawn: tuple[str, NDArray[Any]]) -> None:
    datatype, array = drawn
    expected = array.astype(np.float64).reshape(len(array), -1).tolist()
    for data in (array.tolist(), array.ravel().tolist()):
        body = document(flat("x", datatype, list(array.shape), data))
        assert read_table(JSON, body).rows.tolist() == expected


def test_truth_values_and_bfloat16_are_numbers() -> None:
    truth = np.array([[True, False], [False, True]])
    body, head = v2_binary({"x": ("BOOL", truth)})
    assert read_table(BINARY, body, head).rows.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert read_table(JSON, document(flat("x", "BOOL", [2, 2], truth.tolist()))).rows.tolist() == [[1, 0], [0, 1]]
    halves = np.array([[1.5, -2.0], [0.0, 256.0]])  # which bfloat16 holds exactly
    body, head = v2_binary({"x": ("BF16", halves)})
    assert read_table(BINARY, body, head).rows.tolist() == halves.tolist()


def test_several_tensors_stand_side_by_side_under_their_names() -> None:
    body, head = v2_binary(
        {
            "age": ("INT64", np.array([[30], [40]])),
            "pixels": ("FP32", np.arange(8).reshape(2, 2, 2)),
            "active": ("BOOL", np.array([1, 0])),
        }
    )
    table = read_table(BINARY, body, head)
    assert table.features == ["age", "pixels[0]", "pixels[1]", "pixels[2]", "pixels[3]", "active"]
    assert table.rows.tolist() == [[30, 0, 1, 2, 3, 1], [40, 4, 5, 6, 7, 0]]


def test_a_float64_tensor_is_not_copied() -> None:
    body, head = v2_binary({"x": ("FP64", ROWS)})
    assert not read_table(BINARY, body, head).rows.flags.owndata


def test_json_and_binary_tensors_may_be_mixed() -> None:
    blob = raw("FP64", np.array([7.0, 8.0]))
    body = document(flat("a", "INT32", [2], [1, 2]), tensor("b", "FP64", [2], len(blob))) + blob
    assert read_table(JSON, body).rows.tolist() == [[1.0, 7.0], [2.0, 8.0]]


def test_the_end_of_the_json_is_found_where_strings_hold_braces() -> None:
    blob = raw("FP64", ROWS)
    told = {"id": '}"{\\"}', "parameters": {"note": "}}}"}, "inputs": [tensor("{x}", "FP64", ROWS.shape, len(blob))]}
    assert read_table(BINARY, json.dumps(told).encode() + blob).rows.tolist() == ROWS.tolist()


def test_binary_data_that_ends_like_json_is_no_json() -> None:
    values = np.frombuffer(b"1234567}" * 6, "<f8").reshape(2, 3)
    body, _ = v2_binary({"x": ("FP64", values)})
    assert body.endswith(b"}")
    assert read_table(BINARY, body).rows.tolist() == values.tolist()


@pytest.mark.parametrize(
    "body", [b"", b"x", b"{" * 1000, b'{"a": "', b'{"' + b'\\"' * 40_000, b'{"a": "' + b"x" * 10**6 + b'"}']
)
def test_an_object_that_does_not_end_early_is_looked_for_in_one_pass(body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        end_of_object(body)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=10) | st.integers(), max_size=5), st.binary(max_size=20))
def test_the_end_is_where_the_object_ends(held: dict[str, Any], behind: bytes) -> None:
    for ascii_only in (True, False):
        head = json.dumps({"a": held}, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        assert end_of_object(head + behind) == len(head)
    assert len(head) < MAXIMUM_HEAD_BYTES


def test_text_is_whole_and_still_no_feature() -> None:
    text = np.array([b"a", b"\xff\xfe"], dtype=object)
    blob = raw("BYTES", list(text))
    assert places(document(tensor("t", "BYTES", [2], len(blob))) + blob) == ["inputs[0]"]
    assert places(document(flat("t", "BYTES", [2], ["a", PERSONAL])), content_type=JSON) == ["inputs[0]"]
    for broken in (blob[:-1], blob + b"\0", blob + blob, b"\xff\xff\xff\xff", b""):
        assert places(document(tensor("t", "BYTES", [2], len(broken))) + broken) == ["inputs[0]"]


def test_text_beside_numbers_is_told_apart() -> None:
    blob = raw("BYTES", [b"a", b"b"])
    body = document(tensor("t", "BYTES", [2], len(blob)), flat("x", "FP64", [2], [1, 2])) + blob
    assert places(body) == ["inputs[0]"]


@pytest.mark.parametrize(
    ("tensors", "place"),
    [
        ([], "inputs"),
        ([flat("x", "FP128", [1], [1])], "inputs[0].datatype"),
        ([flat("x", "FP64", [], [1])], "inputs[0].shape"),
        ([flat("x", "FP64", [0, 3], [])], "inputs[0].shape"),
        ([flat("x", "FP64", [1, 0], [])], "inputs[0].shape"),
        ([flat("x", "FP64", [-1, -1], [1])], "inputs[0].shape"),
        ([flat("x", "FP64", [2**40], [1])], "inputs[0].shape"),
        ([flat("x", "FP64", [1] * 17, [1])], "inputs[0].shape"),
        ([flat("x", "FP64", [10**9, 10**9], [1])], "inputs[0].data"),
        ([flat("x", "FP64", [2, 2], [1, 2, 3])], "inputs[0].data"),
        ([flat("x", "FP64", [1, 1_000], [1])], "inputs[0].data"),
        ([flat("x", "FP64", [1], [PERSONAL])], "inputs[0].data[0]"),
        ([flat("x", "FP64", [2, 2], [[1, 2], [3]])], "inputs[0].data[1]"),
        ([flat("x", "FP64", [2], [1, True])], "inputs[0].data[1]"),
        ([flat("x", "FP64", [1], {"a": 1})], "inputs[0].data"),
        ([flat("x", "INT8", [1], [1.5])], "inputs[0].data[0]"),
        ([flat("x", "INT64", [2], [1, 2**53 + 1])], "inputs[0].data[1]"),
        ([flat("x", "INT64", [1], [2**70])], "inputs[0].data"),
        ([flat("x", "UINT64", [1], [-1])], "inputs[0].data"),
        ([tensor("x", "FP64", [1])], "inputs[0]"),
        ([tensor("x", "FP64", [1], 8, data=[1])], "inputs[0]"),
        ([tensor("x", "FP64", [1], -8)], "inputs[0].parameters.binary_data_size"),
        ([flat("x", "FP64", [1], [1]), flat("x", "FP64", [1], [1])], "inputs[1].name"),
        ([flat("x", "FP64", [1], [1]), flat("y", "FP64", [2], [1, 2])], "inputs[1].shape"),
        ([flat("x", "FP64", [1, 1500], [1] * 1500), flat("y", "FP64", [1, 501], [1] * 501)], "inputs"),
    ],
)
def test_tensors_that_cannot_be_are_told_with_their_place(tensors: list[dict[str, Any]], place: str) -> None:
    assert place in places(document(*tensors), content_type=JSON)


def test_binary_data_of_another_length_cannot_be_read() -> None:
    body, head = v2_binary({"x": ("FP64", ROWS)})
    for changed in (body[:-1], body + b"\0", body[:40]):
        for told in (head, None):
            with pytest.raises(UnreadableBody):
                read_table(BINARY, changed, told)


@pytest.mark.parametrize("head", [0, 1, 10, 10**9])
def test_a_length_that_is_wrong_is_refused(head: int) -> None:
    body, _ = v2_binary({"x": ("FP64", ROWS)})
    with pytest.raises(InvalidInput):
        read_table(BINARY, body, head)


def test_numbers_that_are_not_finite_are_refused_by_place_and_nan_is_missing() -> None:
    holes = np.array([[1.0, np.nan]])
    body, head = v2_binary({"x": ("FP32", holes)})
    assert np.array_equal(read_table(BINARY, body, head).rows, holes, equal_nan=True)
    body, head = v2_binary({"x": ("FP32", np.array([[1.0, np.inf]]))})
    assert places(body, head) == ["inputs[0].data[1]"]
    body, head = v2_binary({"x": ("BOOL", np.array([[1, 2]]))})
    assert places(body, head) == ["inputs[0].data[1]"]
    body, head = v2_binary({"x": ("INT64", np.array([[1, 2**53 + 1]]))})
    assert places(body, head) == ["inputs[0].data[1]"]
    body = document(flat("x", "FP32", [1, 2], [1.5, None]))
    assert np.array_equal(read_table(JSON, body).rows, [[1.5, np.nan]], equal_nan=True)


def test_an_answer_has_named_columns_whatever_stands_before_them() -> None:
    body, _ = v2_binary({"score": ("FP32", np.array([[0.5], [0.25]]))}, "outputs", model_name="churn", id="1")
    table = read_outputs(Payload(body))
    assert (table.features, table.rows.tolist()) == (["score"], [[0.5], [0.25]])
    told = {"model_name": "m", "outputs": [flat("p", "FP64", [1, 2], [0.1, 0.9])]}
    assert read_outputs(Payload(json.dumps(told).encode())).features == ["p[0]", "p[1]"]


def test_asking_for_outputs_is_no_answer() -> None:
    asked = {"outputs": [{"name": "p"}], "inputs": [flat("x", "FP64", [1, 1], [1])]}
    assert read_table(JSON, json.dumps(asked).encode()).rows.tolist() == [[1.0]]
    with pytest.raises(InvalidInput):
        read_outputs(Payload(json.dumps(asked).encode()))


GOOD, GOOD_HEAD = v2_binary({"x": ("FP32", ROWS), "t": ("INT8", np.array([1, 2]))}, id="a")


@given(st.data(), st.booleans())
def test_damaged_bodies_are_read_or_refused_and_nothing_else(data: st.DataObject, told: bool) -> None:
    body = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    try:
        table = read_table(
            BINARY, bytes(body[:cut]) if data.draw(st.booleans()) else bytes(body), GOOD_HEAD if told else None
        )
    except InvalidInput:
        return
    assert not np.isinf(table.rows).any()
