"""The laws of `detectors.protocols`, for every registered detector."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from detectors.errors import InvalidRows, ReferenceMismatch, TooFewRows
from detectors.registry import DETECTORS, create, parameters_of
from detectors.results import Scope
from tests.conformance.detectors.effort import examples
from tests.conformance.detectors.strategies import (
    HOSTILE,
    OF_TWO_CATEGORIES,
    VARIANTS,
    detector_of,
    drifted,
    label,
    reference_and_windows,
    typical_rows,
    whole_rows,
)

every_detector = pytest.mark.parametrize("variant", VARIANTS, ids=label)


def same_bits(left, right):
    return all(
        np.asarray(getattr(left, field)).tobytes() == np.asarray(getattr(right, field)).tobytes()
        for field in ("statistic", "effect", "p_value", "reference_count", "window_count")
    )


def test_every_registered_detector_is_held_to_the_laws():
    assert {name for name, _ in VARIANTS} == {detector.name for detector in DETECTORS}


def fitted_on(detector, reference):
    """Fitted, or another example: `fit` alone may refuse rows that nothing could ever be measured against."""
    try:
        return detector.fit(reference)
    except InvalidRows:
        reject()


@every_detector
@given(reference_and_windows(windows=3, characters=HOSTILE))
@examples(60)
def test_merging_is_associative_and_commutative_and_empty_is_neutral(variant, rows):
    reference, *parts = rows
    detector = detector_of(variant)
    fitted = fitted_on(detector, reference)
    a, b, c = (detector.summarise(fitted, part) for part in parts)
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + detector.empty(fitted) == a == detector.empty(fitted) + a
    assert (a + b).count == a.count + b.count
    assert hash(a + b) == hash(b + a)


@every_detector
@given(reference_and_windows(windows=2, characters=HOSTILE))
@examples(60)
def test_summarising_together_is_merging(variant, rows):
    reference, x, y = rows
    detector = detector_of(variant)
    fitted = fitted_on(detector, reference)
    together = detector.summarise(fitted, np.concatenate([x, y]))
    assert together == detector.summarise(fitted, x) + detector.summarise(fitted, y)
    assert together.count == len(x) + len(y)


@every_detector
@given(reference_and_windows(windows=2, characters=HOSTILE), st.randoms(use_true_random=False))
@examples(60)
def test_a_test_depends_on_reference_rows_and_parameters_only(variant, rows, random):
    reference, x, y = rows
    detector, again = detector_of(variant), detector_of(variant)
    fitted, refitted = fitted_on(detector, reference), fitted_on(again, reference.copy())
    assert fitted.digest == refitted.digest
    result = detector.test(fitted, detector.summarise(fitted, x) + detector.summarise(fitted, y))
    together = np.concatenate([y, x])[random.sample(range(len(x) + len(y)), len(x) + len(y))]
    assert same_bits(result, again.test(refitted, again.summarise(refitted, together)))


@every_detector
@given(reference_and_windows(windows=1, characters=HOSTILE))
@examples(100)
def test_whatever_the_values_results_are_well_formed_and_agree_with_measurements(variant, rows):
    reference, window = rows
    detector = detector_of(variant)
    fitted = fitted_on(detector, reference)
    summary = detector.summarise(fitted, window)
    result, measured = detector.test(fitted, summary), detector.measure(fitted, summary)
    shape = (reference.shape[1],) if detector.scope is Scope.FEATURE else (1,)
    for numbers in (result.statistic, result.p_value, result.effect):
        assert numbers.shape == shape
        assert numbers.dtype == np.float64
        assert not np.isinf(numbers).any()
        assert np.array_equal(np.isnan(numbers), result.undecided)
    decided = ~result.undecided
    assert (result.p_value[decided] >= 0).all()
    assert (result.p_value[decided] <= 1).all()
    assert (result.effect[decided] >= 0).all()
    assert result.statistic.tobytes() == measured.statistic.tobytes()
    assert result.effect.tobytes() == measured.effect.tobytes()
    assert result.detector == detector.name
    assert result.missing.shape == shape
    assert result.missing.dtype == np.int64
    assert 0 <= result.reference_count <= fitted.count == len(reference)
    assert 0 <= result.window_count <= summary.count == len(window)


@every_detector
def test_ordinary_rows_are_always_decided(variant):
    generator = np.random.default_rng(6)
    detector = detector_of(variant)
    fitted = detector.fit(typical_rows(generator, 60, 3, variant))
    for count in (20, 50):
        window = typical_rows(generator, count, 3, variant)
        result = detector.test(fitted, detector.summarise(fitted, window))
        assert not result.undecided.any()
        assert (result.missing == 0).all()


@every_detector
def test_missing_values_are_counted_and_said(variant):
    generator = np.random.default_rng(6)
    detector = detector_of(variant)
    fitted = detector.fit(typical_rows(generator, 60, 2, variant))
    window = typical_rows(generator, 50, 2, variant)
    window[:7, 0] = window[5:8, 1] = np.nan
    result = detector.test(fitted, detector.summarise(fitted, window))
    assert result.missing.tolist() == ([7, 3] if detector.scope is Scope.FEATURE else [8])
    nothing = detector.test(fitted, detector.summarise(fitted, np.full((30, 2), np.nan)))
    if variant[0] == "missing_values":
        assert (nothing.p_value < 1e-6).all()
    else:
        assert nothing.undecided.all()
    assert (nothing.missing == 30).all()


@every_detector
def test_the_statistic_and_the_effect_grow_with_the_difference(variant):
    generator = np.random.default_rng(7)
    detector = detector_of(variant)
    fitted = detector.fit(typical_rows(generator, 60, 2, variant))
    window = typical_rows(generator, 40, 2, variant)
    measured = [
        detector.measure(fitted, detector.summarise(fitted, drifted(window, share, variant)))
        for share in (0.0, 0.3, 0.6, 1.0)
    ]
    for less, more in pairwise(measured):
        assert (more.statistic >= less.statistic).all()
        assert (more.effect >= less.effect).all()
    assert (measured[-1].effect > measured[0].effect).all()


@every_detector
def test_a_flagrant_difference_is_found(variant):
    generator = np.random.default_rng(8)
    detector = detector_of(variant)
    fitted = detector.fit(typical_rows(generator, 60, 2, variant))
    window = drifted(typical_rows(generator, 40, 2, variant), 1.0, variant)
    assert (detector.test(fitted, detector.summarise(fitted, window)).p_value <= 0.05).all()


@every_detector
def test_summaries_of_different_references_do_not_mix(variant):
    detector = detector_of(variant)
    rows = typical_rows(np.random.default_rng(4), 30, 2, variant)
    one, other = detector.fit(rows), detector.fit(rows[:-1])
    assert one.digest != other.digest
    with pytest.raises(ReferenceMismatch):
        detector.summarise(one, rows) + detector.summarise(other, rows)
    with pytest.raises(ReferenceMismatch):
        detector.measure(one, detector.summarise(other, rows))
    with pytest.raises(ReferenceMismatch):
        detector.test(one, detector.summarise(other, rows))
    assert detector.empty(one) != detector.empty(other)
    assert detector.empty(one) != "something else"


def test_every_parameter_is_part_of_a_reference():
    rows = np.random.default_rng(4).integers(0, 2, size=(30, 2)).astype(float)
    digests = [detector_of(variant).fit(rows).digest for variant in VARIANTS]
    assert len(set(digests)) == len(VARIANTS)
    assert all(digest.startswith("sha256:") for digest in digests)


@every_detector
def test_no_rows_are_summarised_and_leave_the_result_open(variant):
    detector = detector_of(variant)
    fitted = detector.fit(typical_rows(np.random.default_rng(4), 30, 2, variant))
    empty = detector.summarise(fitted, np.empty((0, 2)))
    assert empty == detector.empty(fitted)
    assert empty.count == 0
    assert np.isnan(detector.measure(fitted, empty).statistic).all()
    assert detector.test(fitted, empty).undecided.all()
    with pytest.raises(TooFewRows):
        detector.fit(np.empty((0, 2)))


@every_detector
@pytest.mark.parametrize(
    "rows", [np.zeros((3, 3)), np.zeros(3), np.zeros((3, 2, 1)), np.array([["a", "b"]]), [[1.0, 2.0]]]
)
def test_rows_that_do_not_fit_are_refused(variant, rows):
    detector = detector_of(variant)
    fitted = detector.fit(typical_rows(np.random.default_rng(4), 30, 2, variant))
    with pytest.raises(InvalidRows):
        detector.summarise(fitted, rows)


@every_detector
@given(whole_rows(features=2))
@examples(20)
def test_whole_numbers_are_taken_exactly_or_refused(variant, rows):
    detector = detector_of(variant)
    fitted = detector.fit(typical_rows(np.random.default_rng(4), 30, 2, variant))
    if all(int(float(number)) == number for number in rows.flat):
        assert detector.summarise(fitted, rows) == detector.summarise(fitted, rows.astype(np.float64))
        return
    for refused in (detector.fit, lambda rows: detector.summarise(fitted, rows)):
        with pytest.raises(InvalidRows, match="a whole number that float64 cannot hold"):
            refused(rows)


@every_detector
@given(reference_and_windows(windows=1, least=2))
@examples(30)
def test_inputs_may_be_read_only_and_are_never_changed_or_kept(variant, rows):
    detector = detector_of(variant)
    reference, window = (part.copy() for part in rows)
    for part in (reference, window):
        part.flags.writeable = False
    fitted = fitted_on(detector, reference)
    result = detector.test(fitted, detector.summarise(fitted, window))
    assert np.array_equal(reference, rows[0])
    assert np.array_equal(window, rows[1])

    mine, theirs = rows[0].copy(), rows[1].copy()
    fitted = detector.fit(mine)
    summary = detector.summarise(fitted, theirs)
    mine[:] = 1
    theirs[:] = 2
    assert same_bits(result, detector.test(fitted, summary))


@every_detector
def test_what_is_shared_between_threads_is_read_only(variant):
    detector = detector_of(variant)
    generator = np.random.default_rng(1)
    fitted = detector.fit(typical_rows(generator, 20, 2, variant))
    summary = detector.summarise(fitted, typical_rows(generator, 3, 2, variant))
    arrays = [getattr(held, name) for held in (fitted, summary, summary + summary) for name in type(held).__slots__]
    arrays = [array for array in arrays if isinstance(array, np.ndarray)]
    assert arrays
    assert not any(array.flags.writeable for array in arrays)


@every_detector
def test_parameters_survive_json(variant):
    detector = detector_of(variant)
    assert create(detector.name, json.loads(json.dumps(parameters_of(detector)))) == detector


@every_detector
@pytest.mark.parametrize("features", [1, 4])
def test_any_layout_in_memory_gives_the_same_bits(variant, features):
    detector = detector_of(variant)
    generator = np.random.default_rng(3)
    reference = typical_rows(generator, 40, features, variant)
    window = typical_rows(generator, 30, features, variant)
    fitted = detector.fit(reference)
    expected = detector.test(fitted, detector.summarise(fitted, window))
    for other in (
        np.asfortranarray(window),
        np.repeat(window, 2, axis=0)[::2],
        window.astype(">f8"),
        window[::-1][::-1],
    ):
        assert same_bits(expected, detector.test(fitted, detector.summarise(fitted, other)))


@every_detector
def test_a_window_that_is_the_reference_does_not_look_different(variant):
    rows = typical_rows(np.random.default_rng(5), 60, 3, variant)
    detector = detector_of(variant)
    fitted = detector.fit(rows)
    assert (detector.test(fitted, detector.summarise(fitted, rows)).p_value > 0.2).all()


@every_detector
@pytest.mark.parametrize("constant", [0.0, 3.0, 0.1, -1e308, 5e-324])
def test_constant_features_are_calm_while_they_stay(variant, constant):
    detector = detector_of(variant)
    fitted = detector.fit(np.full((20, 2), constant))
    assert (detector.test(fitted, detector.summarise(fitted, np.full((10, 2), constant))).p_value == 1).all()


@every_detector
def test_a_bounded_summary_stops_growing_and_the_others_say_that_they_grow(variant):
    detector = detector_of(variant)
    generator = np.random.default_rng(6)

    def drawn(rows):
        return (
            generator.integers(0, 2, (rows, 2)) if variant[0] in OF_TWO_CATEGORIES else generator.normal(size=(rows, 2))
        )

    reference = detector.fit(drawn(60))

    def size(rows):
        parts = [detector.summarise(reference, drawn(rows // 10)) for _ in range(10)]
        return sum(array.nbytes for array in sum(parts, detector.empty(reference)).arrays().values())

    sizes = [size(rows) for rows in (20_000, 200_000)]
    assert (sizes[1] <= sizes[0]) == detector.bounded
