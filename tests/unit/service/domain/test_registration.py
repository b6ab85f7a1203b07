"""What may be a reference, and that a stored one is the one that was registered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import codec
from service.domain.errors import CorruptedState, InvalidReference
from service.domain.models import Reference
from service.domain.registration import (
    MAXIMUM_FEATURE_NAME,
    MAXIMUM_FEATURES,
    MINIMUM_REFERENCE_ROWS,
    REFERENCE_KIND,
    check_reference,
    decode_reference,
    encode_reference,
)

ROWS = np.random.default_rng(0).normal(size=(MINIMUM_REFERENCE_ROWS, 2))


def places(reference: Reference) -> list[str]:
    with pytest.raises(InvalidReference) as raised:
        check_reference(reference)
    return [fault.place for fault in raised.value.faults]


def test_a_reference_of_the_fewest_rows_is_taken() -> None:
    check_reference(Reference(("a", "b"), ROWS))


def test_one_row_fewer_is_not() -> None:
    assert places(Reference(("a", "b"), ROWS[1:])) == ["rows"]


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (("a",), ["rows"]),
        (("a", "b", "c"), ["rows"]),
        (("a", "a"), ["features[0]", "features[1]"]),
        (("a", ""), ["features[1]"]),
        (("a", "b\n"), ["features[1]"]),
        (("a", "\u202eb"), ["features[1]"]),
        (("a", "x" * (MAXIMUM_FEATURE_NAME + 1)), ["features[1]"]),
        ((), ["features", "rows"]),
        (("", "", "c"), ["features[0]", "features[1]", "features[0]", "features[1]", "rows"]),
    ],
)
def test_faults_of_features_are_named_with_their_place(features: tuple[str, ...], expected: list[str]) -> None:
    assert places(Reference(features, ROWS)) == expected


def test_rows_that_were_sent_twice_are_refused() -> None:
    with pytest.raises(InvalidReference, match="100 of them are the rows 100 places before them: send each once"):
        check_reference(Reference(("a", "b"), np.concatenate([ROWS, ROWS])))


def test_more_features_than_any_model_has_are_refused() -> None:
    names = tuple(f"f{index}" for index in range(MAXIMUM_FEATURES + 1))
    assert "features" in places(Reference(names, np.zeros((MINIMUM_REFERENCE_ROWS, len(names)))))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    rows = ROWS.copy()
    rows[7, 1] = value
    assert places(Reference(("a", "b"), rows)) == ["rows"]


@pytest.mark.parametrize("rows", [np.empty((0, 2)), np.empty((200, 0)), np.zeros(200), np.zeros((2, 200, 2))])
def test_rows_without_rows_or_columns_are_refused(rows: NDArray[np.float64]) -> None:
    assert "rows" in places(Reference(("a", "b"), rows))


def test_what_is_decoded_is_what_was_encoded() -> None:
    reference = Reference(("a", "größe"), ROWS)
    blob = encode_reference(reference)
    decoded = decode_reference(blob, codec.digest(blob))
    assert decoded.features == reference.features
    assert np.array_equal(decoded.rows, reference.rows)


@given(st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject) -> None:
    blob = encode_reference(Reference(("a", "b"), ROWS))
    place = data.draw(st.integers(0, len(blob) - 1))
    changed = data.draw(st.integers(0, 255).filter(lambda value: value != blob[place]))
    with pytest.raises(CorruptedState, match="have changed"):
        decode_reference(blob[:place] + bytes([changed]) + blob[place + 1 :], codec.digest(blob))


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"not a document",
        codec.encode("batch", {"rows": ROWS}),
        codec.encode(REFERENCE_KIND, {"rows": ROWS}),
        codec.encode(REFERENCE_KIND, {"rows": ROWS}, {"features": "ab"}),
        codec.encode(REFERENCE_KIND, {"values": ROWS}, {"features": ["a", "b"]}),
    ],
)
def test_bytes_of_the_right_digest_that_are_no_reference_are_not_used(blob: bytes) -> None:
    with pytest.raises(CorruptedState):
        decode_reference(blob, codec.digest(blob))
