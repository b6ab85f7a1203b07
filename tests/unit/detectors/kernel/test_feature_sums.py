"""Sums of features: the same integers whatever the batches and the library, and a kernel close to the Gaussian one."""

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.arrays import HOST, Backend, backend_of, frozen, open_backend
from detectors.errors import BackendUnavailable, InvalidDocument, InvalidRows, ReferenceMismatch
from detectors.kernel import feature_sums
from detectors.kernel.feature_sums import MAXIMUM_ROWS, ONE, FeatureMap, FeatureSums
from detectors.kernel.gaussian import Frame

STRICT = backend_of(strict.zeros((1, 1), device=strict.Device("device1")))


def plain_frame(features):
    """Rows are where they say they are."""
    return Frame(np.zeros(features, dtype=np.intc), np.zeros(features), np.ones(features))


def drawn(features, count, backend=HOST, seed=0):
    return FeatureMap.draw(backend, plain_frame(features), count, (seed, 4))


def normal(count, features, seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(scale=scale, size=(count, features))


def array_libraries():
    yield HOST
    yield STRICT
    try:
        yield open_backend("torch")
    except BackendUnavailable:
        return


LIBRARIES = list(array_libraries())
each_library = pytest.mark.parametrize("backend", LIBRARIES, ids=lambda backend: backend.namespace.__name__)


@each_library
@given(
    st.sampled_from([(1, 33), (3, 40), (20, 257), (130, 64)]),
    st.sampled_from([1e-3, 1.0, 40.0, 1e5]),
    st.lists(st.integers(0, 400), max_size=6),
    st.integers(0, 2**20),
)
@settings(max_examples=25, deadline=None)
def test_a_row_adds_the_same_whatever_rows_it_comes_with(backend, shape, scale, cuts, seed):
    features, count = shape
    mapped = drawn(features, count, backend, seed)
    rows = normal(400, features, seed, scale)
    whole = mapped.summarise("reference", rows)
    merged = mapped.empty("reference")
    for part in np.split(np.random.default_rng(seed).permutation(rows), sorted(cuts)):
        merged += mapped.summarise("reference", part)
    assert merged == whole
    one_by_one = sum((mapped.summarise("reference", rows[[row]]) for row in range(7)), mapped.empty("reference"))
    assert one_by_one == mapped.summarise("reference", rows[:7])


@each_library
@pytest.mark.parametrize("features", [1, 20, 1500])
def test_all_libraries_make_the_same_sums(backend, features):
    rows = normal(300, features)
    assert drawn(features, 70, backend).summarise("reference", rows) == drawn(features, 70).summarise("reference", rows)


@pytest.mark.parametrize("features", [1, 7, 1000, 30_000])
def test_no_product_of_a_row_with_a_frequency_can_be_rounded(features):
    """Every partial sum is an integer below 2^53 in units of 2^-22 points of the circle, for the worst of rows."""
    mapped = drawn(features, 40)
    worst = (np.abs(mapped.frequencies[:-1]) * (mapped.reach * 2**16)).sum(axis=0) + mapped.frequencies[-1]
    assert (worst * 2**22 < 2**53).all()
    assert (mapped.frequencies * 2**22 % 1 == 0).all()
    assert (mapped.frequencies[-1] - (worst - mapped.frequencies[-1]) >= 0).all()  # phases are never negative
    assert mapped.reach * 2**16 % 1 == 0
    assert mapped.reach * 2**18 * 2 <= 2**53


def test_sums_are_those_of_cosines_and_sines():
    mapped = drawn(3, 50)
    rows = normal(200, 3)
    angles = rows @ (mapped.frequencies[:-1] * (2**16 / 4096 * 2 * np.pi))
    expected = np.stack([np.cos(angles).sum(axis=0), np.sin(angles).sum(axis=0)])
    found = mapped.summarise("reference", rows).sums / ONE
    np.testing.assert_allclose(found, expected, atol=200 * (np.pi / 4096))
    np.testing.assert_allclose(found, expected, atol=0.05)  # steps of the circle average out


@pytest.mark.parametrize("features", [1, 2, 20, 1100])
def test_the_kernel_of_the_features_is_close_to_the_gaussian_one(features):
    rows = normal(60, features, scale=1 / np.sqrt(features))
    squares = ((rows[:, None] - rows) ** 2).sum(axis=2)
    found = drawn(features, 4000).gram(rows)
    np.testing.assert_allclose(np.diagonal(found), 1, atol=1e-6)
    assert np.abs(found - np.exp(-squares / 2)).max() < 5 / np.sqrt(4000)


def test_directions_are_orthogonal_in_groups_and_lengths_those_of_normal_vectors():
    frequencies = feature_sums._frequencies(6, 600, np.random.default_rng(0))
    for start in range(0, 600, 6):
        group = frequencies[:, start : start + 6]
        products = group.T @ group
        np.testing.assert_allclose(products, np.diag(np.diagonal(products)), atol=1e-9)
    assert (frequencies**2).mean() == pytest.approx(1, rel=0.01)
    assert np.abs(frequencies.mean(axis=1)).max() < 4 / np.sqrt(600)


def test_orthogonal_frequencies_are_better_than_independent_ones():
    rows = normal(50, 10, scale=1 / np.sqrt(10))
    exact = np.exp(-((rows[:, None] - rows) ** 2).sum(axis=2) / 2)
    ours, independent = [], []
    for seed in range(10):
        ours.append(((drawn(10, 200, seed=seed).gram(rows) - exact) ** 2).mean())
        angles = rows @ np.random.default_rng(seed).normal(size=(10, 200))
        waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        independent.append(((waves @ waves.T / 200 - exact) ** 2).mean())
    assert np.mean(ours) < 0.8 * np.mean(independent)


def test_the_gram_matrix_is_that_of_the_sums():
    mapped, rows = drawn(4, 300), normal(30, 4)
    total = mapped.summarise("reference", rows).means() * 30
    assert mapped.gram(rows).sum() == pytest.approx((total**2).sum() / 300)


def test_seeds_and_counts_make_other_frequencies():
    made = [drawn(3, count, seed=seed).frequencies for count, seed in ((40, 0), (40, 1), (41, 0))]
    assert not np.array_equal(made[0], made[1])
    assert np.array_equal(made[0], drawn(3, 40).frequencies)
    assert made[2].shape == (4, 41)


def test_hostile_rows_are_summed_too():
    mapped = drawn(2, 16)
    rows = np.array([[1.7e308, -1.7e308], [5e-324, -0.0], [np.inf, 3.0], [np.nan, 1.0], [1e6, -1e6]])
    summary = mapped.summarise("reference", rows)
    assert (summary.rows, summary.missing, summary.count) == (4, 1, 5)
    assert mapped.restore("reference", summary.arrays()) == summary


def summary_of(rows, missing=0, reference="reference"):
    return FeatureSums(reference, frozen(np.zeros((2, 4), dtype=np.int64)), rows, missing)


def test_more_rows_than_a_sum_holds_are_refused():
    half = summary_of(MAXIMUM_ROWS // 2)
    assert (half + half).count == MAXIMUM_ROWS
    with pytest.raises(InvalidRows, match="at most"):
        half + half + summary_of(0, missing=1)
    largest = np.full((2, 4), MAXIMUM_ROWS // 2 * (ONE + 1), dtype=np.int64)
    full = FeatureSums("reference", largest, MAXIMUM_ROWS // 2, 0)
    assert (full + full).sums.min() > 0


def test_summaries_of_other_references_and_other_things_are_not_equal():
    one = summary_of(3)
    assert one != summary_of(3, reference="another")
    assert one != summary_of(3, missing=1)
    assert one != "something else"
    assert hash(one) == hash(summary_of(3))
    with pytest.raises(ReferenceMismatch):
        one + summary_of(3, reference="another")


def test_rows_are_taken_out_of_a_sum_again():
    mapped, rows = drawn(2, 20), normal(30, 2)
    rows[4, 1] = np.nan
    assert mapped.summarise("reference", rows).without(mapped.summarise("reference", rows[:9])) == mapped.summarise(
        "reference", rows[9:]
    )


GOOD = {"counts": np.array([2, 1], dtype=np.int64), "sums": np.zeros((2, 4), dtype=np.int64)}
HOSTILE = {
    "nothing": {},
    "another key": {**GOOD, "more": GOOD["sums"]},
    "counts of floats": {**GOOD, "counts": np.array([2.0, 1.0])},
    "three counts": {**GOOD, "counts": np.array([2, 1, 0], dtype=np.int64)},
    "a negative count": {**GOOD, "counts": np.array([2, -1], dtype=np.int64)},
    "too large a count": {**GOOD, "counts": np.array([2, MAXIMUM_ROWS + 1], dtype=np.int64)},
    "too many together": {**GOOD, "counts": np.array([MAXIMUM_ROWS, 1], dtype=np.int64)},
    "sums of floats": {**GOOD, "sums": np.zeros((2, 4))},
    "sums of another shape": {**GOOD, "sums": np.zeros((4, 2), dtype=np.int64)},
    "sums too large": {**GOOD, "sums": np.full((2, 4), 3 * ONE, dtype=np.int64)},
    "sums outside the circle": {**GOOD, "sums": np.full((2, 4), 2 * ONE, dtype=np.int64)},
    "the least integer": {**GOOD, "sums": np.full((2, 4), -(2**63), dtype=np.int64)},
    "sums of no rows": {**GOOD, "counts": np.array([0, 3], dtype=np.int64), "sums": np.eye(2, 4, dtype=np.int64)},
}


@pytest.mark.parametrize("arrays", HOSTILE.values(), ids=HOSTILE)
def test_arrays_that_no_rows_have_are_refused(arrays):
    mapped = drawn(3, 4)
    assert mapped.restore("reference", GOOD).count == 3
    with pytest.raises(InvalidDocument):
        mapped.restore("reference", arrays)


def test_a_restored_summary_shares_nothing_with_the_arrays():
    arrays = {name: array.copy() for name, array in GOOD.items()}
    restored = drawn(3, 4).restore("reference", arrays)
    arrays["sums"][:] = 7
    assert not restored.sums.any()
    assert not restored.sums.flags.writeable


def test_devices_other_than_this_processor_get_more_rows_at_once():
    seen = []

    class Recording:
        def __getattr__(self, name):
            return getattr(STRICT.namespace, name)

        def take(self, table, points, axis):
            seen.append(points.shape[0])
            return STRICT.namespace.take(table, points, axis=axis)

    mapped = drawn(2, 2000, Backend(Recording(), STRICT.device))
    rows = normal(1100, 2)
    assert mapped.summarise("reference", rows) == drawn(2, 2000).summarise("reference", rows)
    assert seen == [1024 * 2000, 76 * 2000]


def test_rows_far_beyond_the_reach_are_not_all_one():
    features = drawn(1, 500)
    rows = np.array([[1e5], [-1e5], [1e6], [1e7], [1e9], [3e9], [1e18]])
    assert np.abs(features.gram(rows) - np.eye(len(rows))).max() < 0.2


def test_the_inner_product_with_a_mean_is_the_mean_kernel():
    generator = np.random.default_rng(9)
    features = drawn(3, 300)
    rows = generator.normal(size=(40, 3))
    found = features.inner(rows, features.summarise("", rows).means())
    np.testing.assert_allclose(found, features.gram(rows).mean(axis=1), atol=1e-12)
    assert features.inner(rows[:0], features.summarise("", rows).means()).shape == (0,)
