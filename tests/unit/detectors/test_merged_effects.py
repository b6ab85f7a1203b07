"""What merged summaries say of effects is what the rows say, as far as the summaries know."""

from dataclasses import fields

import numpy as np
import pytest

from detectors.documents import open_summary, summary_bytes
from detectors.effects import EffectSizes, effect_sizes
from detectors.errors import ReferenceMismatch
from detectors.merged_effects import effect_sizes_of
from detectors.registry import create

NAMES = [each.name for each in fields(EffectSizes)]
OF_ORDER = ("kolmogorov_smirnov", "probability_of_superiority", "missing_rate_change")
OF_VALUES = ("mann_whitney", "cramer_von_mises", "anderson_darling")


def rows(seed, count, shift=0.0):
    """Features without ties, with ties, constant, with missing values, and without any value in the reference."""
    generator = np.random.default_rng(seed)
    found = generator.normal(shift, size=(count, 6))
    found[:, 1], found[:, 2] = found[:, 1].round(), 3.0
    found[generator.random(count) < 0.2, 3] = np.nan
    found[:, 4] = np.nan if seed == 1 else 1.0
    return found


def merged(detector, reference, window):
    parts = [detector.summarise(reference, part) for part in np.array_split(window, 3)]
    return sum(parts[1:], parts[0])


def assert_the_same(found, expected, names):
    for name in NAMES:
        numbers = getattr(expected, name) if name in names else np.full(6, np.nan)
        np.testing.assert_allclose(getattr(found, name), numbers, rtol=1e-12, atol=1e-15, err_msg=name)
        assert not getattr(found, name).flags.writeable


@pytest.mark.parametrize("name", OF_VALUES)
def test_values_have_all_that_the_rows_have(name):
    detector, reference_rows, window = create(name, {}), rows(1, 300), rows(2, 130, 0.7)
    reference = detector.fit(reference_rows)
    found = effect_sizes_of(reference, merged(detector, reference, window))
    assert_the_same(found, effect_sizes(reference_rows, window), NAMES)


@pytest.mark.parametrize("count", [130, 5000])  # sorted cells, and how many rows are in each
def test_ranks_have_what_rests_on_order(count):
    detector, reference_rows, window = create("kolmogorov_smirnov", {}), rows(1, 300), rows(2, count, 0.7)
    reference = detector.fit(reference_rows)
    summary = merged(detector, reference, window)
    assert (summary.tally is None) == (count == 130)
    found = effect_sizes_of(reference, summary)
    assert_the_same(found, effect_sizes(reference_rows, window), OF_ORDER)
    assert found.probability_of_superiority[0] > 0.6
    assert found.kolmogorov_smirnov[0] == pytest.approx(detector.measure(reference, summary).effect[0], abs=1e-15)
    stored = open_summary(summary_bytes(detector, summary), detector, reference)
    assert_the_same(effect_sizes_of(reference, stored), effect_sizes(reference_rows, window), OF_ORDER)


@pytest.mark.parametrize("name", ["kolmogorov_smirnov", "mann_whitney"])
def test_no_rows_have_no_effect_and_other_references_are_refused(name):
    detector = create(name, {})
    reference = detector.fit(rows(1, 50))
    found = effect_sizes_of(reference, detector.empty(reference))
    assert all(np.isnan(getattr(found, each)).all() for each in NAMES if each != "reference_unit")
    with pytest.raises(ReferenceMismatch):
        effect_sizes_of(detector.fit(rows(1, 51)), detector.empty(reference))
