"""The laws of `detectors.protocols` for alibi-detect's detectors, but for those that their statistics do not keep."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from detectors.alibi.context_mmd_drift import AlibiContextMMDDrift
from detectors.errors import InvalidRows
from detectors.registry import OPTIONAL_DETECTORS
from tests.conformance.alibi.variants import ALIBI_VARIANTS
from tests.conformance.detectors import test_documents as documents
from tests.conformance.detectors import test_laws as laws
from tests.conformance.detectors.strategies import HOSTILE, detector_of, label, reference_and_windows

every_detector = pytest.mark.parametrize("variant", ALIBI_VARIANTS, ids=label)

ONE_WINDOW = reference_and_windows(windows=1, characters=HOSTILE)
PROPERTIES = {
    laws.test_merging_is_associative_and_commutative_and_empty_is_neutral: [
        reference_and_windows(windows=3, characters=HOSTILE)
    ],
    laws.test_summarising_together_is_merging: [reference_and_windows(windows=2, characters=HOSTILE)],
    laws.test_a_test_depends_on_reference_rows_and_parameters_only: [
        reference_and_windows(windows=2, characters=HOSTILE),
        st.randoms(use_true_random=False),
    ],
    laws.test_whatever_the_values_results_are_well_formed_and_agree_with_measurements: [ONE_WINDOW],
    laws.test_inputs_may_be_read_only_and_are_never_changed_or_kept: [reference_and_windows(windows=1, least=2)],
    documents.test_references_and_summaries_come_back_as_they_were: [reference_and_windows(windows=1)],
    documents.test_a_hostile_summary_is_refused_or_harmless: [st.data()],
    documents.test_damaged_bytes_are_refused_or_say_something_else: [st.data()],
}
EXAMPLES = [
    laws.test_ordinary_rows_are_always_decided,
    laws.test_missing_values_are_counted_and_said,
    laws.test_summaries_of_different_references_do_not_mix,
    laws.test_no_rows_are_summarised_and_leave_the_result_open,
    laws.test_what_is_shared_between_threads_is_read_only,
    laws.test_parameters_survive_json,
    laws.test_a_window_that_is_the_reference_does_not_look_different,
    documents.test_arrays_that_are_not_those_of_the_summary_are_refused,
]
OF_ANY_SHIFT = [
    laws.test_the_statistic_and_the_effect_grow_with_the_difference,
    laws.test_a_flagrant_difference_is_found,
]


def sees_any_shift(variant):
    """Not one downwards only, and not one of the context as well."""
    return variant[0] != "alibi_context_mmd_drift" and variant[1].get("alternative") != "less"


def is_one_for_equals(variant):
    """Whether its p-value is 1 where all rows are the same: chance, or nothing at all, is what others would measure."""
    name, parameters = variant
    return name not in {"alibi_context_mmd_drift", "alibi_lsdd_drift"} and not parameters.get("binarize_preds")


def law_name(law):
    return getattr(law, "__name__", "").removeprefix("test_") or None


def test_every_detector_of_theirs_is_held_to_the_laws():
    assert {name for name, _ in ALIBI_VARIANTS} == {detector.name for detector in OPTIONAL_DETECTORS}


@every_detector
@pytest.mark.parametrize("law", PROPERTIES, ids=law_name)
@given(st.data())
@settings(max_examples=6, suppress_health_check=list(HealthCheck))
def test_properties(law, variant, data):
    try:
        law.hypothesis.inner_test(variant, *(data.draw(strategy) for strategy in PROPERTIES[law]))
    except InvalidRows:  # some of these need more reference rows, or more features, than an example has
        reject()


@every_detector
@pytest.mark.parametrize("law", EXAMPLES, ids=law_name)
def test_examples(law, variant):
    law(variant)


@pytest.mark.parametrize("variant", [variant for variant in ALIBI_VARIANTS if sees_any_shift(variant)], ids=label)
@pytest.mark.parametrize("law", OF_ANY_SHIFT, ids=law_name)
def test_examples_of_shifts(law, variant):
    law(variant)


def test_a_shift_is_seen_in_its_context():
    generator = np.random.default_rng(8)
    context = generator.normal(size=(100, 1))
    rows = np.hstack([context + generator.normal(size=(100, 1)) / 2, context])
    reference, window = rows[:60], rows[60:] + np.array([2.0, 0.0])
    for columns, position in ((slice(None), "trailing"), (slice(None, None, -1), "leading")):
        detector = AlibiContextMMDDrift(context_position=position, n_permutations=40)
        fitted = detector.fit(reference[:, columns])
        assert detector.test(fitted, detector.summarise(fitted, window[:, columns])).p_value <= 0.05
        assert detector.test(fitted, detector.summarise(fitted, rows[60:, columns])).p_value > 0.05


@every_detector
@pytest.mark.parametrize("rows", [np.zeros((3, 3)), np.zeros(3), np.array([["a", "b"]]), [[1.0, 2.0]]])
def test_rows_that_do_not_fit_are_refused(variant, rows):
    laws.test_rows_that_do_not_fit_are_refused(variant, rows)


@every_detector
@pytest.mark.parametrize("features", [2, 4])
def test_any_layout_in_memory_gives_the_same_bits(variant, features):
    laws.test_any_layout_in_memory_gives_the_same_bits(variant, features)


CONSTANTS = pytest.mark.parametrize("constant", [0.0, 3.0, 0.1, -1e308, 5e-324])


@pytest.mark.parametrize("variant", [variant for variant in ALIBI_VARIANTS if is_one_for_equals(variant)], ids=label)
@CONSTANTS
def test_constant_features_are_calm_while_they_stay(variant, constant):
    laws.test_constant_features_are_calm_while_they_stay(variant, constant)


@pytest.mark.parametrize(
    "variant", [variant for variant in ALIBI_VARIANTS if not is_one_for_equals(variant)], ids=label
)
@CONSTANTS
def test_constant_features_raise_no_alarm_while_they_stay(variant, constant):
    detector = detector_of(variant)
    fitted = detector.fit(np.full((20, 2), constant))
    result = detector.test(fitted, detector.summarise(fitted, np.full((10, 2), constant)))
    assert result.undecided.all() == (variant[0] == "alibi_lsdd_drift")
    assert not (result.p_value < 0.2).any()
