import numpy as np
import pytest
from scipy.signal import lfilter

from detectors.sequential.run_lengths import Simulation, learn
from detectors.sequential.streams import Population

LEAST = np.full((1, 1), 0.01)


def learnt(statistics, expected, simulated_rows, least=LEAST, warm_up=0):
    simulation = Simulation.of(expected, simulated_rows, warm_up)
    return learn(simulation, Population.of(100, 1), statistics, seed=3, least=least, progress=None)


def noise(stream, width=1):
    """Independent of the stream but for its length and first draws."""
    return np.random.default_rng(stream.positions[:8]).exponential(size=(len(stream.positions), 1, width))


def mean_run_length(statistics, threshold, streams=400, rows=20_000):
    """Over new streams, none of which is cut short."""
    lengths = []
    for number in range(streams):
        values = statistics(Population.of(1000, 1).stream(99, number, rows))
        above = (values > threshold).any(axis=(1, 2))
        lengths.append(1 + int(above.argmax()) if above.any() else rows)
    return np.mean(lengths)


def test_independent_statistics_get_the_quantile_that_their_distribution_says():
    thresholds, run_time = learnt(noise, 1000, 1_000_000)
    assert run_time.streams == 976
    assert not run_time.extrapolated
    assert thresholds.shape == (1, 1)
    assert np.log(900) < thresholds[0, 0] < np.log(1100)


def test_several_statistics_share_the_false_alarms_whatever_their_scale():
    scales = np.array([1.0, 1000.0, 1e-6, 5.0])
    thresholds, _ = learnt(lambda stream: noise(stream, 4) * scales + 7 * scales, 1000, 500_000, np.full((1, 4), 1e-9))
    np.testing.assert_allclose(thresholds[0] / scales, 7 + np.log(4000), rtol=0.05)


def test_a_long_run_time_is_extrapolated_from_shorter_ones():
    thresholds, run_time = learnt(noise, 1_000_000, 500_000)
    assert run_time.extrapolated
    np.testing.assert_allclose(thresholds[0, 0], np.log(1_000_000), rtol=0.06)


def test_statistics_that_depend_on_one_another_over_time_are_not_taken_for_independent():
    def slow(stream):
        steps = np.random.default_rng(stream.positions[:8]).normal(size=len(stream.positions))
        return lfilter([np.sqrt(1 - 0.99**2)], [1, -0.99], steps)[:, None, None]

    thresholds, _ = learnt(slow, 2000, 2_000_000, warm_up=200)
    assert thresholds[0, 0] < 3.0  # independent numbers would need 3.29
    assert 0.8 < mean_run_length(slow, thresholds) / 2000 < 1.2


def test_warming_up_is_part_of_the_run_time():
    def late(stream):
        values = noise(stream)
        values[:300] = np.nan
        return values

    thresholds, _ = learnt(late, 1000, 1_000_000, warm_up=300)
    assert np.log(600) < thresholds[0, 0] < np.log(800)


def test_what_never_moves_gets_a_threshold_above_it_and_what_is_never_measured_none():
    def partly(stream):
        values = noise(stream, 3)
        values[:, 0, 1] = 0.25
        values[:, 0, 2] = np.nan
        return values

    thresholds, _ = learnt(partly, 1000, 100_000, np.full((1, 3), 0.01))
    assert 0.25 < thresholds[0, 1] < 0.3
    assert np.isnan(thresholds[0, 2])
    still, run_time = learnt(lambda stream: np.zeros((len(stream.positions), 1, 1)), 1000, 100_000)
    assert still[0, 0] == 0.01
    assert (run_time.alarms, run_time.extrapolated) == (0, True)
    never, _ = learnt(lambda stream: np.full((len(stream.positions), 1, 1), np.nan), 1000, 100_000)
    assert np.isnan(never).all()


@pytest.mark.parametrize(
    ("expected", "simulated_rows", "warm_up", "streams", "rows"),
    [
        (1000, 2_000_000, 80, 1024, 1024),
        (10_000, 2_000_000, 80, 197, 10_112),
        (100_000, 2_000_000, 80, 128, 15_744),
        (100, 1, 80, 128, 640),
        (50, 1, 0, 128, 128),
    ],
)
def test_simulations_cost_what_was_granted_unless_that_is_too_little(expected, simulated_rows, warm_up, streams, rows):
    simulation = Simulation.of(expected, simulated_rows, warm_up)
    assert (simulation.streams, simulation.rows) == (streams, rows)
