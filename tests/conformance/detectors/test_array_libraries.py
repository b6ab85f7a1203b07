"""The same bits whichever array library the rows come from, and whichever device."""

from importlib import import_module
from importlib.util import find_spec
from os import environ

import array_api_strict as strict
import numpy as np
import pytest

from detectors.errors import InvalidRows
from tests.conformance.detectors.strategies import VARIANTS, detector_of, label, typical_rows
from tests.conformance.detectors.test_laws import same_bits

pytestmark = pytest.mark.skipif(
    environ.get("DRIFTWARDEN_ARRAY_LIBRARY", "numpy") != "numpy", reason="compares other libraries with numpy"
)

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
    with pytest.raises(InvalidRows, match="real numbers"):
        detector.fit(strict.asarray([[True]], device=device))
    with pytest.raises(InvalidRows, match="two dimensions"):
        detector.fit(strict.asarray([1.0], dtype=dtype, device=device))


with_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed; make alibi installs it")
NUMBERS = ("statistic", "effect", "p_value")


@with_torch
@pytest.mark.parametrize("variant", VARIANTS, ids=label)
def test_torch_tensors_measure_like_numpy_but_for_rounding(variant):
    torch = import_module("torch")
    generator = np.random.default_rng(2)
    reference, window = (typical_rows(generator, count, 3, variant) for count in (50, 40))
    detector = detector_of(variant)
    fitted = detector.fit(reference)
    elsewhere = detector.fit(torch.tensor(reference))
    assert elsewhere.digest == fitted.digest
    summary = detector.summarise(elsewhere, torch.tensor(window))
    assert summary == detector.summarise(fitted, window)
    expected, found = detector.test(fitted, summary), detector.test(elsewhere, summary)
    for numbers in NUMBERS:
        np.testing.assert_allclose(getattr(found, numbers), getattr(expected, numbers), rtol=1e-9, atol=1e-9)
    again = detector.test(elsewhere, summary)
    assert same_bits(found, again)
    measured = detector.measure(elsewhere, summary)
    assert measured.statistic.tobytes() == found.statistic.tobytes()


@with_torch
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "int64", "uint8"])
def test_torch_tensors_of_other_types_measure_like_numpy(dtype):
    torch = import_module("torch")
    reference, window = (torch.tensor((part * 10 + 40).round()).to(getattr(torch, dtype)) for part in rows())
    detector = detector_of(VARIANTS[0])
    fitted = detector.fit(reference)
    wide = reference.to(torch.float64).numpy(), window.to(torch.float64).numpy()
    assert fitted.digest == detector.fit(wide[0]).digest
    assert detector.summarise(fitted, window) == detector.summarise(fitted, wide[1])


@with_torch
def test_torch_tensors_are_checked_too_and_may_require_gradients():
    torch = import_module("torch")
    detector = detector_of(VARIANTS[0])
    with pytest.raises(InvalidRows, match="real numbers"):
        detector.fit(torch.tensor([[True]]))
    with pytest.raises(InvalidRows, match="two dimensions"):
        detector.fit(torch.tensor([1.0]))
    with pytest.raises(InvalidRows, match="real numbers"):
        detector.fit(torch.tensor([[1.0 + 1.0j]]))
    reference = torch.tensor([[1.0], [2.0]], dtype=torch.float64, requires_grad=True)
    assert detector.fit(reference).digest == detector.fit(np.array([[1.0], [2.0]])).digest
