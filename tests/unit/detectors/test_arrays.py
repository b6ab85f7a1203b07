"""What counts as rows, and what the refusal says."""

import subprocess
import sys

import array_api_strict as strict
import numpy as np
import pytest

from detectors.arrays import (
    HOST,
    Backend,
    backend_of,
    checked_rows,
    complete,
    frozen,
    measurable_rows,
    on_host,
    open_backend,
    some_at_a_time,
)
from detectors.errors import BackendUnavailable, InvalidRows

WITHOUT_FLOAT64 = {strict.Device("no_float64"), strict.Device("no_x64")}


def test_float64_rows_are_taken_without_a_copy():
    rows = np.ones((3, 2))
    assert checked_rows(rows) is rows or np.shares_memory(checked_rows(rows), rows)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "uint64", ">f4", "longdouble"])
def test_other_numbers_become_float64(dtype):
    checked = checked_rows(np.array([[1, 2], [3, 4]], dtype=dtype))
    assert checked.dtype == np.float64
    assert checked.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros(3), r"two dimensions .* these have 1"),
        (np.zeros((1, 2, 3)), "these have 3"),
        (np.zeros((3, 0)), "no features"),
        (np.zeros((3, 2), dtype=bool), "real numbers, not bool"),
        (np.zeros((3, 2), dtype=complex), "real numbers, not complex128"),
        (np.zeros((3, 2), dtype=object), "real numbers, not object"),
        (np.array([["1", "2"]]), "real numbers"),
        (np.zeros((3, 2), dtype="datetime64[s]"), "real numbers"),
        (np.array([[0, 1], [2, np.nan]]), "row 1, column 1 is nan"),
        (np.array([[0, np.inf], [2, np.nan]]), "row 0, column 1 is inf"),
        (np.array([[0, 1], [-np.inf, 0]], dtype=np.float32), "row 1, column 0 is -inf"),
        (np.array([[np.longdouble("1e4000")]]), "row 0, column 0 is inf"),
        (np.ma.masked_array(np.zeros((2, 2)), mask=np.eye(2)), "masked"),
        ([[1.0, 2.0]], "not a list"),
        (None, "not a NoneType"),
        ("rows", "not a str"),
    ],
)
def test_what_are_no_rows_is_refused_with_the_place(rows, message):
    with pytest.raises(InvalidRows, match=message):
        checked_rows(rows)


@pytest.mark.parametrize(
    ("dtype", "held", "not_held"),
    [
        ("int64", [2**53, -(2**53), 2**54, 2**62, -(2**63), 0], [2**53 + 1, -(2**53) - 1, 2**55 + 1, 2**63 - 1]),
        ("uint64", [2**53, 2**54, 2**63, 0], [2**53 + 1, 2**63 + 1, 2**64 - 1]),
        (">i8", [2**54], [2**53 + 1]),
    ],
)
def test_integers_that_float64_cannot_hold_are_refused_by_name(dtype, held, not_held):
    assert checked_rows(np.array([held], dtype=dtype)).tolist() == [held]
    for number in not_held:
        rows = np.array([[0, 0], [2**53, number]], dtype=dtype)
        with pytest.raises(
            InvalidRows, match=f"row 1, column 1 is {number}, a whole number .* common offset, or codes"
        ):
            checked_rows(rows)
        with pytest.raises(InvalidRows, match=str(number)):
            measurable_rows(strict.asarray(rows.astype(dtype.replace(">i8", "int64"))))


def test_the_number_of_features_is_checked_where_it_is_known():
    assert checked_rows(np.zeros((0, 2)), features=2).shape == (0, 2)
    with pytest.raises(InvalidRows, match="2 features, and the reference has 3"):
        checked_rows(np.zeros((1, 2)), features=3)


def test_frozen_arrays_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        frozen(np.zeros(2))[0] = 1


@pytest.mark.parametrize(("features", "rows"), [(0, 5), (3, 0), (100, 1000), (7, 10**6)])
def test_parts_cover_all_features_once(features, rows):
    covered = [feature for part in some_at_a_time(features, rows) for feature in range(features)[part]]
    assert covered == list(range(features))


def test_missing_values_stay_missing_and_infinities_become_the_largest_numbers():
    largest = np.finfo(np.float64).max
    other_nan = np.array([0x7FF8000000000001], dtype=np.uint64).view(np.float64)[0]
    rows = np.array([[np.inf, other_nan], [-np.inf, 1.0]])
    measurable = measurable_rows(rows)
    assert measurable.tobytes() == np.array([[largest, np.nan], [-largest, 1.0]]).tobytes()
    assert np.isinf(rows[0, 0])


def test_rows_that_are_measurable_are_not_copied():
    rows = np.ones((3, 2))
    assert np.shares_memory(measurable_rows(rows), rows)
    assert complete(rows) is rows


def test_complete_rows_are_those_without_a_missing_value():
    assert complete(np.array([[1.0, np.nan], [2.0, 3.0]])).tolist() == [[2.0, 3.0]]


def test_rows_are_on_the_host_unless_their_library_says_otherwise():
    assert backend_of(np.ones((2, 2))) == HOST
    assert backend_of(np.ones((2, 2)).tolist()) == HOST
    assert HOST.put(rows := np.ones((2, 2))) is rows
    assert open_backend("numpy", "cpu") is HOST


@pytest.mark.parametrize("device", strict.__array_namespace_info__().devices(), ids=str)
def test_arrays_go_to_the_backend_of_others_and_come_back(device):
    backend = backend_of(strict.asarray([[1.0]], dtype=strict.float32, device=device))
    if device in WITHOUT_FLOAT64:
        assert backend == HOST
        return
    assert backend == Backend(backend.namespace, device)
    sent = backend.put(frozen(np.arange(6.0).reshape(3, 2)))
    assert sent.device == device
    assert on_host(backend.namespace.sum(sent, axis=0)).tolist() == [6.0, 9.0]


@pytest.mark.parametrize(
    ("library", "device", "message"),
    [
        ("numpy", "cuda", "numpy computes on cpu"),
        ("jax", "cpu", "no backend 'jax'"),
    ],
)
def test_a_backend_that_is_not_there_is_refused(library, device, message):
    with pytest.raises(BackendUnavailable, match=message):
        open_backend(library, device)


def test_torch_is_imported_only_if_it_is_chosen():
    code = "import sys, detectors, detectors.registry, service.app; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
