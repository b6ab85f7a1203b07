"""Detectors of windows with more flagged rows: what blocks are measured by, and what they find."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.poisoned_rows import Source, stuck
from detectors.calibration import block_null, joint_null
from detectors.errors import InvalidParameter
from detectors.registry import create


@pytest.mark.parametrize("name", ["outlying_rows", "too_typical_rows"])
def test_a_block_is_measured_about_as_by_a_fit_on_the_others(name: str) -> None:
    rows = Source(1).rows(2000)
    detector = create(name, {"rate": 0.05})
    fitted = detector.fit(rows)
    for first in (0, 600, 1800):
        held = slice(first, first + 200)
        others = detector.fit(np.concatenate([rows[: held.start], rows[held.stop :]]))
        anew = detector.measure(others, detector.summarise(others, rows[held])).statistic[0]
        kept = detector.measure_held_out(fitted, detector.empty(fitted), held).statistic[0]
        assert kept == pytest.approx(anew, abs=0.02)


def test_blocks_calibrate_them_and_a_window_with_stuck_rows_is_beyond_all() -> None:
    source = Source(2)
    rows, window = source.rows(6000), source.rows(200)
    detectors = [create(name, {}) for name in ("outlying_rows", "too_typical_rows", "repeated_rows")]
    null = joint_null([block_null(detector, rows, 200) for detector in detectors])

    def p_value(judged: NDArray[np.float64]) -> float:
        fitted = [(detector, detector.fit(rows)) for detector in detectors]
        found = [detector.measure(own, detector.summarise(own, judged)).statistic for detector, own in fitted]
        return null.p_value(null.largest_score(found))

    assert p_value(window) > 0.05
    window[:10] = stuck(source, rows[:10])
    assert p_value(window) == pytest.approx(1 / 31)


@pytest.mark.parametrize("rate", [0.0, 0.6, 1, "0.1", float("nan")])
def test_a_rate_that_is_none_is_refused(rate: object) -> None:
    with pytest.raises(InvalidParameter, match="above zero and at most"):
        create("outlying_rows", {"rate": rate})
