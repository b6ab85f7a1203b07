"""The same bits whichever array library the rows come from, and whichever device."""

import array_api_strict as strict
import numpy as np
import pytest

from detectors.errors import InvalidRows
from tests.conformance.detectors.strategies import VARIANTS, detector_of, label
from tests.conformance.detectors.test_laws import same_bits

DEVICES = strict.__array_namespace_info__().devices()


def rows():
    generator = np.random.default_rng(2)
    return generator.normal(size=(50, 3)).round(1), generator.normal(size=(40, 3)).round(1)


@pytest.mark.parametrize("device", [strict.Device("CPU_DEVICE"), strict.Device("device1")], ids=str)
@pytest.mark.parametrize("variant", VARIANTS, ids=label)
def test_strict_arrays_measure_like_numpy(variant, device):
    reference, window = rows()
    detector = detector_of(variant)
    fitted = detector.fit(reference)
    expected = detector.test(fitted, detector.summarise(fitted, window))
    elsewhere = detector.fit(strict.asarray(reference, device=device))
    assert elsewhere.digest == fitted.digest
    summary = detector.summarise(elsewhere, strict.asarray(window, device=device))
    assert same_bits(expected, detector.test(elsewhere, summary))


@pytest.mark.parametrize("dtype", ["float32", "int8", "int64", "uint16"])
def test_strict_arrays_of_other_types_measure_like_numpy(dtype):
    reference, window = ((part * 10 + 40).astype(dtype) for part in rows())
    detector = detector_of(VARIANTS[0])
    fitted = detector.fit(reference)
    elsewhere = detector.fit(strict.asarray(reference))
    assert elsewhere.digest == fitted.digest
    assert detector.summarise(elsewhere, strict.asarray(window)) == detector.summarise(fitted, window)


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_strict_arrays_are_checked_too(device):
    detector = detector_of(VARIANTS[0])
    dtype = strict.float32
    with pytest.raises(InvalidRows, match="row 1, column 0 is nan"):
        detector.fit(strict.asarray([[1.0], [float("nan")]], dtype=dtype, device=device))
    with pytest.raises(InvalidRows, match="real numbers"):
        detector.fit(strict.asarray([[True]], device=device))
    with pytest.raises(InvalidRows, match="two dimensions"):
        detector.fit(strict.asarray([1.0], dtype=dtype, device=device))
