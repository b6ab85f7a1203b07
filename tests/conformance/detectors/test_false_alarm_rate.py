"""On rows that depend on their neighbours, the block null keeps the false-alarm rate that was asked for."""

import numpy as np
import pytest

from detectors.calibration import block_null, joint_null
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from detectors.rank.kolmogorov_smirnov import KolmogorovSmirnov

ALPHA = 0.05
WINDOW = 100
FEATURES = 5


def autoregressive(rows, generator, memory=0.9):
    noise = generator.normal(size=(rows + 200, FEATURES))
    values = np.empty_like(noise)
    values[0] = noise[0]
    for row in range(1, len(noise)):
        values[row] = memory * values[row - 1] + noise[row]
    return values[200:]


def test_blocks_hold_the_rate_that_independence_does_not():
    generator = np.random.default_rng(8)
    detector = KolmogorovSmirnov()
    alarms = {"blocks": 0, "independence": 0}
    judged = 0
    for _ in range(6):
        rows = autoregressive(100 * WINDOW, generator)
        reference, future = rows[: 60 * WINDOW], rows[60 * WINDOW :]
        null = joint_null([block_null(detector, reference, WINDOW)])
        fitted = detector.fit(reference)
        for window in future.reshape(-1, WINDOW, FEATURES):
            result = detector.test(fitted, detector.summarise(fitted, window))
            alarms["blocks"] += null.p_value(null.largest_score([result.statistic])) <= ALPHA
            alarms["independence"] += result.p_value.min() * FEATURES <= ALPHA
            judged += 1
    assert alarms["independence"] / judged > 0.8
    assert 0.01 < alarms["blocks"] / judged < 0.11


@pytest.mark.parametrize("shift", [3.0])
def test_a_real_shift_is_still_seen(shift):
    generator = np.random.default_rng(9)
    detectors = [KolmogorovSmirnov(), MaximumMeanDiscrepancy(maximum_reference_rows=300)]
    reference = autoregressive(40 * WINDOW, generator)
    null = joint_null([block_null(detector, reference, WINDOW) for detector in detectors])
    window = autoregressive(WINDOW, generator) + np.array([shift] + [0] * (FEATURES - 1))
    statistics = []
    for detector in detectors:
        fitted = detector.fit(reference)
        statistics.append(detector.measure(fitted, detector.summarise(fitted, window)).statistic)
    assert null.p_value(null.largest_score(statistics)) <= ALPHA
    scores = null.score(statistics)
    assert scores[0].argmax() == 0
