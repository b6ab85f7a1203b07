"""Summaries of a plan: merged they say what the rows say, and nothing else gets in under their name."""

from functools import reduce
from operator import add

import numpy as np
import pytest

from detectors import codec
from detectors.errors import InvalidDocument, InvalidRows, ReferenceMismatch
from detectors.registry import DETECTORS
from service.domain.errors import InvalidBatch
from service.domain.fitted_plan import fit
from service.domain.models import LATEST_MS, Reference
from service.domain.plan import MAXIMUM_DETECTORS, DetectorPlan, Plan, WindowPlan
from service.domain.summaries import (
    MAXIMUM_PANE_ROWS,
    MAXIMUM_PANES,
    SUMMARIES_KIND,
    Pane,
    Summaries,
    decode_panes,
    encode_panes,
    panes_of,
)

FEATURES = ("a", "b", "c")
PLAN = Plan(
    WindowPlan(100),
    (
        DetectorPlan("kolmogorov_smirnov"),
        DetectorPlan("fast_maximum_mean_discrepancy"),
        DetectorPlan("missing_values"),
        DetectorPlan("population_stability_index", features=("c", "a")),
    ),
)


def rows(seed, count):
    return np.random.default_rng(seed).normal(size=(count, 3))


def encode(summaries):
    return encode_panes([Pane(0, 1, summaries)])


def decode(fitted, blob):
    (pane,) = decode_panes(fitted, blob)
    return pane.summaries


@pytest.fixture(scope="module")
def fitted():
    return fit(PLAN, Reference(FEATURES, rows(1, 500)))


def test_panes_merged_say_what_their_rows_say(fitted):
    window = rows(2, 400)
    panes = [decode(fitted, encode(Summaries.of(fitted, pane))) for pane in np.array_split(window, 7)]
    merged = reduce(add, panes)
    assert merged.rows == 400
    for found, expected in zip(merged.measured(fitted), fitted.measure(window), strict=True):
        np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.p_value, expected.p_value, rtol=1e-6, atol=1e-12)


def test_what_is_said_of_more_rows_than_can_be_summed_is_not_measured_and_does_not_stop_the_log():
    plan = Plan(WindowPlan(100, keep="summaries"), (DetectorPlan("fast_maximum_mean_discrepancy"),))
    fitted = fit(plan, Reference(FEATURES, rows(1, 500)), calibrates=False)
    (each,) = fitted.detectors
    sums = np.zeros((2, each.reference.map.count), dtype=np.int64)
    one_more, part = (
        each.detector.restore(each.reference, {"counts": np.array([0, count]), "sums": sums})
        for count in (MAXIMUM_PANE_ROWS + 1, MAXIMUM_PANE_ROWS)
    )
    with pytest.raises(InvalidDocument, match=f"1 to {MAXIMUM_PANE_ROWS} rows"):
        decode(fitted, encode(Summaries(MAXIMUM_PANE_ROWS + 1, (one_more,))))
    said = decode(fitted, encode(Summaries(MAXIMUM_PANE_ROWS, (part,))))
    merged = said
    for _ in range(12):
        merged += merged
    assert merged.rows == 2**43
    for more in (merged, merged + said, said + merged):
        assert not more.parts
        with pytest.raises(InvalidRows, match="at most"):
            more.measured(fitted)


def test_a_document_does_not_grow_with_the_rows(fitted):
    assert len(encode(Summaries.of(fitted, rows(3, 40_000)))) <= len(encode(Summaries.of(fitted, rows(3, 4000)))) + 64


def test_summaries_of_more_detectors_serve_and_of_fewer_do_not(fitted):
    reference = Reference(FEATURES, rows(1, 500))
    fewer = fit(Plan(PLAN.window, PLAN.detectors[2:]), reference)
    blob = encode(Summaries.of(fitted, rows(4, 50)))
    assert len(decode(fewer, blob).parts) == 2
    with pytest.raises(ReferenceMismatch, match="kolmogorov_smirnov"):
        decode(fitted, encode(Summaries.of(fewer, rows(4, 50))))


def test_one_detector_planned_twice_keeps_its_features_apart_even_where_their_references_are_equal():
    reference = rows(1, 500)
    reference[:, 1] = reference[:, 0]
    twice = tuple(DetectorPlan("kolmogorov_smirnov", features=(name,)) for name in ("a", "b"))
    fitted = fit(Plan(PLAN.window, twice), Reference(FEATURES, reference))
    window = rows(2, 100) + np.array([0.0, 5.0, 0.0])
    blob = encode(Summaries.of(fitted, window))
    found = [result.statistic[0] for result in decode(fitted, blob).measured(fitted)]
    assert found == [result.statistic[0] for result in fitted.measure(window)]
    assert found[0] < 0.2
    assert found[1] > 0.9
    one_of_them = fit(Plan(PLAN.window, twice[1:]), Reference(FEATURES, reference))
    with pytest.raises(ReferenceMismatch):
        decode(one_of_them, blob)


def test_summaries_for_another_reference_are_told_apart(fitted):
    other = fit(PLAN, Reference(FEATURES, rows(9, 500)))
    with pytest.raises(ReferenceMismatch):
        decode(fitted, encode(Summaries.of(other, rows(4, 50))))


def test_what_no_summaries_hold_is_refused(fitted):
    good = codec.decode(encode(Summaries.of(fitted, rows(4, 50))), kind=SUMMARIES_KIND)
    attributes, arrays = dict(good.attributes), dict(good.arrays)
    for changed, held in (
        ({}, arrays),
        (attributes | {"panes": [[0, 1, 51]]}, arrays),
        (attributes | {"panes": [[0, 1, -1]]}, arrays),
        (attributes | {"panes": [[0, 1, "50"]]}, arrays),
        (attributes | {"panes": [[0, 1, True]]}, arrays),
        (attributes | {"panes": [[0, 1]]}, arrays),
        (attributes | {"panes": [[2, 1, 50]]}, arrays),
        (attributes | {"panes": [[-1, 1, 50]]}, arrays),
        (attributes | {"panes": [[0, 2**60, 50]]}, arrays),
        (attributes | {"panes": [[0, 1, 50]] * 2}, arrays),
        (attributes | {"panes": [[0, 1, 50]] * (MAXIMUM_PANES + 1)}, arrays),
        (attributes | {"panes": []}, {}),
        (attributes | {"references": "sha256:"}, arrays),
        (attributes, arrays | {"0.4.cells": arrays["0.0.cells"]}),
        (attributes, arrays | {"0.cells": arrays["0.0.cells"]}),
        (attributes, arrays | {"0.0.more": arrays["0.0.cells"]}),
        (attributes, {name: array for name, array in arrays.items() if not name.startswith("0.2.")}),
    ):
        with pytest.raises(InvalidDocument):
            decode(fitted, codec.encode(SUMMARIES_KIND, held, changed))
    with pytest.raises(InvalidDocument):
        decode(fitted, b"no document")


def test_panes_end_where_windows_do_and_hold_every_row_once(fitted):
    window = rows(5, 300)
    times = np.random.default_rng(6).integers(0, 100_000, 300)
    panes = decode_panes(fitted, encode_panes(panes_of(fitted, window, times, 10_000)))
    assert [pane.begins_ms // 10_000 for pane in panes] == list(range(10))
    assert not any(pane.crosses(10_000) for pane in panes)
    for pane in panes:
        inside = times // 10_000 == pane.begins_ms // 10_000
        assert (pane.begins_ms, pane.ends_ms) == (times[inside].min(), times[inside].max())
        expected = Summaries.of(fitted, window[inside])
        assert pane.summaries.rows == expected.rows
        for found, other in zip(pane.summaries.parts, expected.parts, strict=True):
            assert {name: array.tolist() for name, array in found.arrays().items()} == {
                name: array.tolist() for name, array in other.arrays().items()
            }
    (whole,) = panes_of(fitted, window, times, None)
    assert (whole.begins_ms, whole.ends_ms, whole.summaries.rows) == (times.min(), times.max(), 300)


def test_rows_of_more_windows_than_a_document_holds_are_refused(fitted):
    count = MAXIMUM_PANES + 1
    with pytest.raises(InvalidBatch, match=f"{count} windows"):
        panes_of(fitted, rows(7, count), np.arange(count) * 1000, 1000)
    most = panes_of(fitted, rows(7, MAXIMUM_PANES), np.arange(MAXIMUM_PANES) * 1000, 1000)
    assert len(decode_panes(fitted, encode_panes(most))) == MAXIMUM_PANES


@pytest.mark.parametrize("name", sorted(detector.name for detector in DETECTORS if detector.bounded))
def test_the_header_of_a_document_has_room_for_as_many_panes_as_it_may_have(name):
    fitted = fit(Plan(PLAN.window, (DetectorPlan(name),)), Reference(FEATURES, np.sign(rows(1, 500))))
    (part,) = Summaries.of(fitted, np.sign(rows(2, 40))).parts
    pane = Pane(LATEST_MS, LATEST_MS, Summaries(40, (part,) * MAXIMUM_DETECTORS))
    assert codec.decode(encode_panes([pane] * MAXIMUM_PANES), kind=SUMMARIES_KIND).arrays
