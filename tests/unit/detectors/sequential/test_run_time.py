"""Detectors run as long as they state, and stop when something happens. Longer tables: docs/online_detectors.md."""

import numpy as np
import pytest
from scipy.signal import lfilter

from detectors.sequential.registry import create_online

NAMES = ("online_kolmogorov_smirnov", "online_maximum_mean_discrepancy", "online_cumulative_sum")


def normal(generator, rows, features=2):
    return generator.normal(size=(rows, features))


def dependent(generator, rows):
    return lfilter([np.sqrt(1 - 0.8**2)], [1, -0.8], generator.normal(size=(rows + 100, 1)), axis=0)[100:]


def mean_run_length(name, parameters, source, references=4, streams=40, reference_rows=3000):
    lengths = []
    for number in range(references):
        generator = np.random.default_rng((5, number))
        detector = create_online(name, {**parameters, "seed": number})
        reference = detector.fit(source(generator, reference_rows))
        for _ in range(streams):
            state, alarm = detector.start(reference), None
            while alarm is None:
                state, results = detector.run(reference, state, source(generator, 300))
                alarm = results.first_alarm
            lengths.append(alarm.row)
    return np.mean(lengths)


@pytest.mark.parametrize("name", NAMES)
def test_independent_rows_alarm_as_seldom_as_stated(name):
    measured = mean_run_length(name, {"expected_run_time": 400, "simulated_rows": 150_000}, normal)
    assert 0.8 < measured / 400 < 1.2


@pytest.mark.parametrize("name", ["online_kolmogorov_smirnov", "online_cumulative_sum"])
def test_dependent_rows_alarm_too_often_unless_calibrated_in_blocks(name):
    parameters = {"expected_run_time": 400, "simulated_rows": 100_000}
    assert mean_run_length(name, parameters, dependent, streams=10) < 150
    assert mean_run_length(name, {**parameters, "block_rows": 50}, dependent, streams=30) > 250


@pytest.mark.parametrize("name", NAMES)
def test_a_shift_is_seen_much_sooner_than_a_false_alarm_is_expected(name):
    generator = np.random.default_rng(9)
    detector = create_online(name, {"expected_run_time": 5000, "simulated_rows": 200_000})
    reference = detector.fit(normal(generator, 2000))
    state, calm = detector.run(reference, detector.start(reference), normal(generator, 300))
    assert calm.first_alarm is None
    alarm = detector.run(reference, state, normal(generator, 2000) + np.array([1.0, 0.0]))[1].first_alarm
    assert alarm is not None
    assert alarm.row - 300 < 60
    assert alarm.features in ((), (0,))


@pytest.mark.parametrize("name", NAMES)
def test_missing_values_of_the_reference_are_missing_in_the_simulated_streams(name):
    def sparse(generator, rows):
        found = normal(generator, rows)
        found[generator.random(found.shape) < 0.3] = np.nan
        return found

    measured = mean_run_length(name, {"expected_run_time": 400, "simulated_rows": 150_000}, sparse, streams=30)
    assert 0.75 < measured / 400 < 1.3
