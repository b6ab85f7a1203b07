"""The permutation tests of the kernel family: against their definitions, against chance, and in every array library."""

from functools import partial

import array_api_strict as strict
import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist
from scipy.stats import binom

from detectors.kernel.aggregated import AggregatedMaximumMeanDiscrepancy
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy

IMPROBABLE = 1e-4


def result_of(detector, reference, window):
    fitted = detector.fit(reference)
    return detector.test(fitted, detector.summarise(fitted, window))


def p_values(detector, repetitions, draw_reference, draw_window):
    return np.array([result_of(detector, draw_reference(), draw_window()).p_value[0] for _ in range(repetitions)])


def assert_share(probabilities, level):
    """Neither more nor fewer p-values up to the level than chance produces."""
    below, count = int((probabilities <= level + 1e-12).sum()), len(probabilities)
    assert binom.sf(below - 1, count, level) > IMPROBABLE, (below, count, level)
    assert binom.cdf(below, count, level) > IMPROBABLE, (below, count, level)


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize(("n", "m", "features"), [(30, 20, 1), (200, 33, 4), (41, 600, 20)])
def test_the_statistic_is_the_definition(standardise, n, m, features):
    generator = np.random.default_rng(n)
    reference, window = generator.normal(size=(n, features)), generator.normal(0.2, 1.2, size=(m, features))
    result = result_of(MaximumMeanDiscrepancy(permutations=1, standardise=standardise), reference, window)
    if standardise:
        mean, deviation = reference.mean(axis=0), reference.std(axis=0)
        reference, window = (reference - mean) / deviation, (window - mean) / deviation
    squares = np.sort(pdist(reference, "sqeuclidean"))
    gamma = 1 / squares[(len(squares) - 1) // 2]
    within = [np.exp(-gamma * pdist(rows, "sqeuclidean")).mean() for rows in (reference, window)]
    expected = sum(within) - 2 * np.exp(-gamma * cdist(reference, window, "sqeuclidean")).mean()
    assert result.statistic[0] == pytest.approx(expected, abs=1e-12)
    assert result.effect[0] == pytest.approx(np.sqrt(max(expected, 0)), abs=1e-6)


@pytest.mark.parametrize("sizes", [(12, 9), (8, 20)])
def test_the_size_is_exact_where_the_bandwidth_is_given(sizes):
    generator = np.random.default_rng(1)
    n, m = sizes
    detector = MaximumMeanDiscrepancy(permutations=19, standardise=False, bandwidth=1.0)
    found = p_values(detector, 1200, lambda: generator.normal(size=(n, 2)), lambda: generator.normal(size=(m, 2)))
    assert found.min() == 1 / 20
    for level in (0.05, 0.1, 0.25, 0.5, 0.75, 0.95):
        assert_share(found, level)


@pytest.mark.parametrize("detector", [MaximumMeanDiscrepancy(19), AggregatedMaximumMeanDiscrepancy(19)], ids=repr)
@pytest.mark.parametrize("features", [1, 5])
def test_the_size_is_nominal_where_the_reference_gives_scale_and_bandwidth(detector, features):
    generator = np.random.default_rng(features)
    found = p_values(
        detector, 600, lambda: generator.normal(size=(80, features)), lambda: generator.normal(size=(60, features))
    )
    for level in (0.05, 0.1, 0.25, 0.5, 0.75, 0.95):
        assert_share(found, level)


def test_the_size_of_the_aggregated_test_is_nominal_for_ties_and_heavy_tails():
    generator = np.random.default_rng(3)
    detector = AggregatedMaximumMeanDiscrepancy(19)
    ties = p_values(detector, 400, lambda: generator.integers(0, 4, (60, 2)), lambda: generator.integers(0, 4, (40, 2)))
    tails = p_values(
        detector, 400, lambda: generator.standard_cauchy((60, 2)), lambda: generator.standard_cauchy((40, 2))
    )
    for found in (ties, tails):
        for level in (0.05, 0.1, 0.25, 0.5):
            assert_share(found, level)


def test_structure_finer_than_the_median_bandwidth_is_found_by_the_aggregated_test():
    generator = np.random.default_rng(4)

    def rippled():
        drawn = generator.random((900, 1))
        kept = 2 * generator.random(900) < 1 + np.cos(2 * np.pi * 4 * drawn[:, 0])
        return drawn[kept][:200]

    median, aggregated = (
        (p_values(detector, 30, lambda: generator.random((200, 1)), rippled) <= 0.05).mean()
        for detector in (MaximumMeanDiscrepancy(39), AggregatedMaximumMeanDiscrepancy(39))
    )
    assert median < 0.4
    assert aggregated > 0.9


@pytest.mark.parametrize(("features", "shift"), [(1, 0.4), (5, 0.5), (20, 0.6)])
def test_a_shift_of_the_mean_is_found_about_as_often_as_with_the_median_bandwidth(features, shift):
    moved = np.eye(features)[0] * shift
    found = []
    for detector in (MaximumMeanDiscrepancy(39), AggregatedMaximumMeanDiscrepancy(39)):
        draw = partial(np.random.default_rng(features).normal, size=(100, features))
        found.append((p_values(detector, 100, draw, partial(draw, moved)) <= 0.05).mean())
    median, aggregated = found
    assert 0.4 < median < 0.95
    assert aggregated > median - 0.15


def test_the_witness_integrates_to_the_discrepancy():
    generator = np.random.default_rng(5)
    reference, window = generator.normal(size=(300, 3)), generator.normal(0.5, size=(250, 3))
    detector = MaximumMeanDiscrepancy()
    fitted = detector.fit(reference)
    # Over window and reference, the witness differs by the biased MMD^2 (Gretton et al. 2012, eq. 5).
    both = np.concatenate([window, reference])
    similar = np.exp(-cdist(*[fitted.frame.place(both)] * 2, "sqeuclidean") / 2)
    biased = similar[:250, :250].mean() + similar[250:, 250:].mean() - 2 * similar[:250, 250:].mean()
    at_window = detector.witness(fitted, window).mean()
    at_reference = similar[250:, :250].mean() - similar[250:, 250:].mean()
    assert at_window - at_reference == pytest.approx(biased, abs=1e-12)


def elsewhere():
    """Arrays of other libraries and devices."""
    yield pytest.param(lambda rows: strict.asarray(rows, device=strict.Device("CPU_DEVICE")), id="strict")
    yield pytest.param(lambda rows: strict.asarray(rows, device=strict.Device("device1")), id="strict-device1")
    yield pytest.param(lambda rows: pytest.importorskip("torch").asarray(rows), id="torch")

    def on_cuda(rows):
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("no CUDA here")
        return torch.asarray(rows, device="cuda")

    yield pytest.param(on_cuda, id="torch-cuda")


@pytest.mark.parametrize("put", list(elsewhere()))
@pytest.mark.parametrize("detector", [MaximumMeanDiscrepancy(), AggregatedMaximumMeanDiscrepancy()], ids=repr)
def test_every_library_and_device_gives_numpys_results(detector, put):
    generator = np.random.default_rng(6)
    reference, window = generator.normal(size=(700, 4)), generator.normal(0.05, size=(90, 4))
    reference[5, 2] = window[7, 0] = np.nan
    expected, found = result_of(detector, reference, window), result_of(detector, put(reference), put(window))
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.effect, expected.effect, rtol=1e-8, atol=1e-10)
    assert found.p_value == expected.p_value
    assert found.missing.tolist() == [1]
    held = slice(100, 150)
    fitted, there = detector.fit(reference), detector.fit(put(reference))
    assert fitted.digest == there.digest
    summary = detector.summarise(fitted, reference[held])
    np.testing.assert_allclose(
        detector.measure_held_out(there, summary, held).statistic,
        detector.measure_held_out(fitted, summary, held).statistic,
        rtol=1e-10,
        atol=1e-12,
    )
