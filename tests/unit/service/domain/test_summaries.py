"""Summaries of a plan: merged they say what the rows say, and nothing else gets in under their name."""

from functools import reduce
from operator import add

import numpy as np
import pytest

from detectors import codec
from detectors.errors import InvalidDocument, ReferenceMismatch
from service.domain.fitted_plan import fit
from service.domain.models import Reference
from service.domain.plan import DetectorPlan, Plan, WindowPlan
from service.domain.summaries import SUMMARIES_KIND, Summaries, decode, encode

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
        (attributes | {"rows": 51}, arrays),
        (attributes | {"rows": -1}, arrays),
        (attributes | {"rows": "50"}, arrays),
        (attributes | {"rows": True}, arrays),
        (attributes | {"references": "sha256:"}, arrays),
        (attributes, arrays | {"4.cells": arrays["0.cells"]}),
        (attributes, arrays | {"cells": arrays["0.cells"]}),
        (attributes, arrays | {"0.more": arrays["0.cells"]}),
        (attributes, {name: array for name, array in arrays.items() if not name.startswith("2.")}),
    ):
        with pytest.raises(InvalidDocument):
            decode(fitted, codec.encode(SUMMARIES_KIND, held, changed))
    with pytest.raises(InvalidDocument):
        decode(fitted, b"no document")
