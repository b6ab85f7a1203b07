"""References and summaries as bytes: nothing is lost, nothing hostile gets in, and old ones stay readable for ever."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import codec
from detectors.documents import (
    MOST_WORK,
    open_reference,
    open_summary,
    reference_bytes,
    summary_bytes,
    work_of_fitting,
)
from detectors.errors import InvalidDocument, ReferenceMismatch, TooLarge
from detectors.registry import DETECTORS, create
from tests.conformance.detectors.effort import examples
from tests.conformance.detectors.golden.rows import golden_rows
from tests.conformance.detectors.strategies import VARIANTS, detector_of, label, reference_and_windows
from tests.conformance.detectors.test_laws import fitted_on, same_bits

GOLDEN = Path(__file__).parent / "golden" / "summaries"
EXTREMES = [0, 1, -1, 2, 255, 2**31 - 1, -(2**31), 2**53, 2**63 - 1, -(2**63), 0.5, -0.0, 1e308, np.nan, np.inf, 5e-324]

every_detector = pytest.mark.parametrize("variant", VARIANTS, ids=label)


@every_detector
@given(reference_and_windows(windows=1))
@examples(25)
def test_references_and_summaries_come_back_as_they_were(variant, rows):
    reference_rows, window = rows
    detector = detector_of(variant)
    reference = fitted_on(detector, reference_rows)
    again, restored = open_reference(reference_bytes(detector, reference_rows))
    assert again == detector
    assert restored.digest == reference.digest == codec.digest(reference_bytes(detector, reference_rows))
    summary = detector.summarise(reference, window)
    blob = summary_bytes(detector, summary)
    opened = open_summary(blob, again, restored)
    assert opened == summary
    assert summary_bytes(again, opened) == blob
    assert same_bits(detector.test(reference, summary), again.test(restored, opened))


@every_detector
@given(st.data())
@examples(60)
def test_a_hostile_summary_is_refused_or_harmless(variant, data):
    reference_rows, window = golden_rows(variant)
    detector = detector_of(variant)
    reference = detector.fit(reference_rows)
    arrays = {name: np.array(array) for name, array in detector.summarise(reference, window).arrays().items()}
    name = data.draw(st.sampled_from(sorted(arrays)))
    arrays[name] = data.draw(st.sampled_from(MUTATIONS))(arrays[name], data.draw)
    try:
        restored = detector.restore(reference, arrays)
    except InvalidDocument:
        return
    result = detector.test(reference, restored + detector.summarise(reference, window))
    assert not np.isinf(result.statistic).any()


def _overwritten(array, draw):
    if array.size:
        with np.errstate(all="ignore"):
            value = np.array(draw(st.sampled_from(EXTREMES)))
            array.reshape(-1)[draw(st.integers(0, array.size - 1))] = value.astype(array.dtype, casting="unsafe")
    return array


def _retyped(array, draw):
    with np.errstate(all="ignore"):
        return array.astype(draw(st.sampled_from(["f4", "f8", "i1", "i4", "i8", "u8"])))


MUTATIONS = [
    _overwritten,
    _overwritten,
    _overwritten,
    _retyped,
    lambda array, _: array[..., :-1] if array.ndim else array.reshape(1),
    lambda array, _: array[np.newaxis],
    lambda array, _: array[::-1].copy() if array.ndim else -array,
    lambda array, _: np.concatenate([array, array]) if array.ndim else array.reshape(1, 1),
    lambda array, _: array.reshape(-1),
    lambda array, _: array[:0] if array.ndim else array,
]


@every_detector
def test_arrays_that_are_not_those_of_the_summary_are_refused(variant):
    reference_rows, window = golden_rows(variant)
    detector = detector_of(variant)
    reference = detector.fit(reference_rows)
    arrays = dict(detector.summarise(reference, window).arrays())
    with pytest.raises(InvalidDocument):
        detector.restore(reference, {})
    with pytest.raises(InvalidDocument):
        detector.restore(reference, {**arrays, "more": np.zeros(1)})


@every_detector
@given(st.data())
@examples(40)
def test_damaged_bytes_are_refused_or_say_something_else(variant, data):
    reference_rows, window = golden_rows(variant)
    detector = detector_of(variant)
    reference = detector.fit(reference_rows)
    blob = bytearray(summary_bytes(detector, detector.summarise(reference, window)))
    place = data.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        opened = open_summary(bytes(blob), detector, reference)
    except (InvalidDocument, ReferenceMismatch):
        return
    assert summary_bytes(detector, opened) == bytes(blob)
    detector.test(reference, opened)


def refusing_to_fit(name, parameters, rows, features, **limits):
    """The document of a reference that nobody should fit, made without fitting it; opened, it raises."""
    blob = reference_bytes(create(name, parameters), np.zeros((rows, features)))
    with pytest.raises(InvalidDocument) as raised:
        open_reference(blob, **limits)
    return raised


@pytest.mark.parametrize(
    ("name", "parameters", "rows", "features"),
    [
        ("fast_maximum_mean_discrepancy", {"frequencies": 65536}, 4, 20_000),
        ("fast_maximum_mean_discrepancy", {"frequencies": 65536}, 40_000, 2),
        ("fast_maximum_mean_discrepancy", {}, 4, 1_000_000),
        ("kolmogorov_smirnov", {}, 2, 300_000),
        ("population_stability_index", {}, 2, 300_000),
        ("maximum_mean_discrepancy", {"maximum_reference_rows": 100_000}, 100_000, 2),
        ("aggregated_maximum_mean_discrepancy", {"maximum_reference_rows": 100_000, "bandwidths": 12}, 10_000, 2),
        ("cross_maximum_mean_discrepancy", {"maximum_reference_rows": 100_000}, 100_000, 2),
    ],
)
def test_a_document_that_asks_for_more_work_than_is_allowed_is_refused_before_it_is_begun(
    name, parameters, rows, features
):
    assert refusing_to_fit(name, parameters, rows, features).type is TooLarge


def test_the_limit_of_work_is_stated_and_can_be_raised():
    rows = np.random.default_rng(3).normal(size=(50, 2))
    detector = create("kolmogorov_smirnov", {})
    raised = refusing_to_fit("kolmogorov_smirnov", {}, 50, 2, most_work=1000)
    assert "50 rows of 2 features takes 3.4e+04 operations, and most_work is 1.0e+03" in str(raised.value)
    assert open_reference(reference_bytes(detector, rows), most_work=40_000)[0] == detector


def test_ordinary_references_are_within_the_limit_of_work():
    for detector in DETECTORS:
        for rows, features in ((10_000, 20), (100_000, 20), (5_000, 1_000)):
            assert work_of_fitting(detector(), rows, features) < MOST_WORK, (detector.name, rows, features)


@pytest.mark.parametrize("name", ["alibi_ks_drift", "alibi_mmd_drift", "alibi_context_mmd_drift"])
def test_a_document_that_names_an_engine_that_is_not_there_is_refused(name):
    if find_spec("alibi_detect"):
        pytest.skip("alibi-detect is there")
    assert "alibi-detect cannot be imported" in str(refusing_to_fit(name, {}, 9, 3).value)


def test_a_document_that_memory_does_not_suffice_for_is_refused(monkeypatch):
    def fit(*_):
        raise MemoryError("Unable to allocate 14.9 GiB")

    monkeypatch.setattr("detectors.rank.reference.fit", fit)
    raised = refusing_to_fit("kolmogorov_smirnov", {}, 9, 3)
    assert raised.type is TooLarge
    assert "not enough memory (Unable to allocate 14.9 GiB)" in str(raised.value)


def test_a_reference_says_what_it_was_fitted_with_and_nothing_else():
    rows = np.arange(12.0).reshape(6, 2)
    detector = detector_of(VARIANTS[0])
    good = codec.decode(reference_bytes(detector, rows), kind="fitted reference")
    attributes = json.loads(json.dumps(dict(good.attributes)))
    for changed, arrays in (
        ({**attributes, "code": "import os"}, {"rows": rows}),
        ({"parameters": {}}, {"rows": rows}),
        ({**attributes, "detector": 7}, {"rows": rows}),
        ({**attributes, "detector": "no such"}, {"rows": rows}),
        ({**attributes, "parameters": ["less"]}, {"rows": rows}),
        ({**attributes, "parameters": {"alternative": "sideways"}}, {"rows": rows}),
        ({**attributes, "parameters": {}}, {"rows": rows}),  # defaults are written out
        (attributes, {"rows": rows[:0]}),
        (attributes, {"rows": rows[:, 0]}),
        (attributes, {"rows": rows.astype(np.float32)}),
        (attributes, {"rows": np.full((3, 1), np.inf)}),
        (attributes, {"rows": rows, "cells": rows}),
    ):
        with pytest.raises(InvalidDocument):
            open_reference(codec.encode("fitted reference", arrays, changed))


def test_a_summary_is_opened_by_its_own_detector_and_reference_only():
    rows = np.arange(12.0).reshape(6, 2)
    first, other = detector_of(("kolmogorov_smirnov", {})), detector_of(("maximum_mean_discrepancy", {}))
    reference = first.fit(rows)
    blob = summary_bytes(first, first.summarise(reference, rows))
    with pytest.raises(InvalidDocument, match="not the summary of a maximum_mean_discrepancy"):
        open_summary(blob, other, other.fit(rows))
    with pytest.raises(ReferenceMismatch):
        open_summary(blob, first, first.fit(rows + 1))


@every_detector
def test_summaries_of_earlier_releases_are_read_for_ever(variant):
    reference_rows, window = golden_rows(variant)
    detector = detector_of(variant)
    reference = detector.fit(reference_rows)
    written = [GOLDEN / f"{label(variant)}.dwd", *GOLDEN.glob(f"*/{label(variant)}.dwd")]
    for path in written:
        assert open_summary(path.read_bytes(), detector, reference) == detector.summarise(reference, window), path
