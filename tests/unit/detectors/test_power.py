"""The smallest shift that is found in blocks into which it is planted."""

import numpy as np

from detectors.power import SHIFTS, smallest_shifts
from detectors.rank.kolmogorov_smirnov import KolmogorovSmirnov


def found(rows, window_rows, threshold=0.25):
    detector = KolmogorovSmirnov()
    return smallest_shifts(detector, detector.fit(rows), rows, window_rows, lambda statistic: statistic > threshold)


def test_each_feature_has_the_shift_at_which_its_statistic_is_far_enough_out():
    rows = np.random.default_rng(1).normal(size=(4000, 3)) * [1, 100, 0.01]
    # D = 2 Phi(shift / 2) - 1 exceeds 0.25 from a shift of 0.64 on, whatever the unit
    assert found(rows, 400).tolist() == [0.75] * 3
    assert found(rows, 400, threshold=0.12).max() <= 0.5


def test_a_shift_that_cannot_be_seen_has_no_size():
    rows = np.zeros((1000, 2))
    rows[:, 0] = np.random.default_rng(2).normal(size=1000)
    sizes = found(rows, 100)
    assert sizes[0] in SHIFTS
    assert np.isnan(sizes[1])
