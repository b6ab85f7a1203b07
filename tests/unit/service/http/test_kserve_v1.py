"""V1 bodies: instances with names and without, nested or not; predictions beside them."""

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
from service.http.formats.kserve_v1 import read_outputs
from service.http.formats.table import Payload

PERSONAL = "4711.0815"


def sent(**document: Any) -> bytes:
    return json.dumps(document).encode()


def places(body: bytes) -> list[str]:
    with pytest.raises(InvalidInput) as raised:
        read_table("application/json", body)
    assert PERSONAL not in str(raised.value)
    assert len(str(raised.value)) < 5_000
    return [fault.place for fault in raised.value.faults]


@given(
    arrays.arrays(
        np.float64,
        arrays.array_shapes(min_dims=1, max_dims=4, max_side=4),
        elements=st.floats(allow_nan=False, allow_infinity=False),
    )
)
def test_lists_of_any_rectangular_nesting_are_rows(array: NDArray[np.float64]) -> None:
    table = read_table("application/json", sent(instances=array.tolist()))
    assert table.features is None
    assert table.rows.tolist() == array.reshape(len(array), -1).tolist()


@pytest.mark.parametrize(
    ("instances", "features", "rows"),
    [
        ([{"a": 1, "b": 2}, {"b": 4, "a": 3}], ["a", "b"], [[1, 2], [3, 4]]),
        ([{"x": [1, 2], "y": 3}], ["x[0]", "x[1]", "y"], [[1, 2, 3]]),
        ([{"x": [[1], [2]]}], ["x[0]", "x[1]"], [[1, 2]]),
    ],
)
def test_named_instances_name_their_columns(
    instances: list[dict[str, Any]], features: list[str], rows: list[list[float]]
) -> None:
    table = read_table("application/json", sent(instances=instances, signature_name="serving_default"))
    assert (table.features, table.rows.tolist()) == (features, rows)


def test_null_is_a_missing_value() -> None:
    for instances in ([[1, None]], [{"a": 1, "b": None}], [[[1], [None]]]):
        rows = read_table("application/json", sent(instances=instances)).rows
        assert np.array_equal(rows, [[1.0, np.nan]], equal_nan=True)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (sent(instances=[]), "instances"),
        (sent(instances={}), "instances"),
        (sent(instances=PERSONAL), "instances"),
        (sent(instances=[[]]), "instances"),
        (sent(instances=[[1, 2], [3]]), "instances[1]"),
        (sent(instances=[[1, 2], 3]), "instances[1]"),
        (sent(instances=[1, [2]]), "instances[1]"),
        (sent(instances=[[[1, 2], [3]]]), "instances[0][1]"),
        (sent(instances=[[1, True]]), "instances[0][1]"),
        (sent(instances=[[1, PERSONAL]]), "instances[0][1]"),
        (sent(instances=[PERSONAL]), "instances[0]"),
        (sent(instances=[{PERSONAL: 1}, {"b": 1}]), "instances[1]"),
        (sent(instances=[{"a": 1}, 1]), "instances[1]"),
        (sent(instances=[{}]), "instances[0]"),
        (sent(instances=[{PERSONAL: PERSONAL}]), "instances[0], member 1"),
        (sent(instances=[{PERSONAL: {"b64": PERSONAL}}]), "instances[0], member 1"),
        (sent(instances=[{"a": [1, 2]}, {"a": [1]}]), "instances[1], member 1"),
        (sent(instances=[{"a": [1, "x"]}]), "instances[0], member 1[1]"),
        (sent(instances=[[1]], predictions=[1, 2]), "predictions"),
        (sent(predictions=[1, 2]), "instances"),
        (b'{"instances": [[1e999]]}', "instances[0][0]"),
        (b'{"instances": [{"a": 1, "a": 2}]}', "body"),
        (sent(instances=[[1.0] * 2_001], predictions=[[1.0] * 2_001]), ""),
    ],
)
def test_what_is_no_table_is_told_with_its_place(body: bytes, place: str) -> None:
    if place:
        assert place in places(body)
    else:  # positional columns need no names, and so no bound of theirs
        assert read_table("application/json", body).rows.shape == (1, 4_002)


@pytest.mark.parametrize("body", [b'{"instances": [[1, NaN]]}', b'{"instances": [[1}', b'{"instances": ' + b"[" * 9999])
def test_what_is_no_json_cannot_be_read(body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        read_table("application/json", body)


def test_predictions_beside_instances_are_columns_and_alone_are_an_answer() -> None:
    table = read_table("application/json", sent(instances=[[1], [2]], predictions=[3, 4]))
    assert (table.features, table.rows.tolist()) == (None, [[1, 3], [2, 4]])
    assert read_outputs(Payload(sent(predictions=[3, 4]))).features == ["prediction"]
    answer = read_outputs(Payload(sent(predictions=[[1, 2], [3, 4]])))
    assert (answer.features, answer.rows.tolist()) == (["prediction[0]", "prediction[1]"], [[1, 2], [3, 4]])
    named = read_outputs(Payload(sent(predictions=[{"score": 1.0, "label": "x"}])))
    assert (named.features, list(named.not_numbers)) == (["score", "label"], [1])


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["instances", "predictions", "rows", "columns", "inputs", "outputs"]), anything)
def test_any_json_under_any_name_is_rows_or_a_fault(name: str, value: Any) -> None:
    body = json.dumps({name: value}).encode()
    try:
        rows = read_table("application/json", body).rows
    except InvalidInput:
        return
    assert rows.ndim == 2
    assert rows.size
    assert not np.isinf(rows).any()
