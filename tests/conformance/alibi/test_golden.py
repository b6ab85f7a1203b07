"""The alibi-detect that is installed still says what the golden file says it said."""

import json

import pytest

from tests.conformance.detectors.golden.make_golden import GOLDEN, golden


def test_the_golden_file_is_what_alibi_detect_says():
    written, now = json.loads(GOLDEN.read_text()), golden()
    assert written["made_by"]["alibi-detect"] == now["made_by"]["alibi-detect"]
    assert len(written["cases"]) == len(now["cases"])
    for then, case in zip(written["cases"], now["cases"], strict=True):
        for number in ("distance", "p_val"):
            assert case.pop(number, []) == pytest.approx(then.pop(number, []), rel=1e-6, abs=1e-12)
        assert case == then
