"""Documents written by the first release stay readable, byte for byte, for ever."""

from pathlib import Path

import numpy as np

from detectors.codec import decode, digest, encode

GOLDEN = Path(__file__).parent / "golden" / "document-v1.bin"
ATTRIBUTES = {"name": "détecteur", "parameters": {"alternative": "two-sided", "limit": 0.05, "none": None}, "yes": True}


def arrays():
    return {
        "rows": np.array([[1.5, -0.0, np.nan], [np.inf, 5e-324, 1.7976931348623157e308]]),
        "cells": np.array([[-1, 2**31 - 1]], dtype=np.int32),
        "counts": np.array([2**63 - 1], dtype=np.int64),
        "flags": np.array([0, 1, 255], dtype=np.uint8),
        "nothing": np.empty((0, 4), dtype=np.float32),
        "scalar": np.array(7, dtype=np.uint64),
    }


def test_the_golden_document_is_still_written_the_same():
    assert encode("golden", arrays(), ATTRIBUTES) == GOLDEN.read_bytes()


def test_the_golden_document_is_still_read():
    document = decode(GOLDEN.read_bytes(), kind="golden")
    assert document.attributes == ATTRIBUTES
    for name, array in arrays().items():
        assert document.arrays[name].shape == array.shape
        assert document.arrays[name].tobytes() == array.tobytes()


def test_the_golden_document_keeps_its_digest():
    assert digest(GOLDEN.read_bytes()) == "sha256:1c43415bb23773c31d65461f7d1cfaa4d1185dbaf29cd4b4ff1921683feaf2be"
