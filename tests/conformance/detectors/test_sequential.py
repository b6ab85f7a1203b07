"""The laws of `detectors.sequential.protocols`, for every online detector, and their statistics by definition."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist
from scipy.stats import ks_2samp

from detectors import codec
from detectors.errors import InvalidDocument, InvalidParameter, InvalidRows, ReferenceMismatch, TooFewRows
from detectors.identity import parameters_of
from detectors.results import Scope
from detectors.sequential.registry import ONLINE_DETECTORS, create_online
from tests.conformance.detectors.strategies import rows_like

SHORT = {"expected_run_time": 60, "simulated_rows": 1}
VARIANTS = [
    ("online_kolmogorov_smirnov", {"windows": (5, 9), "silent_after": 3}),
    ("online_kolmogorov_smirnov", {"windows": (6,), "block_rows": 2, "seed": 5}),
    ("online_maximum_mean_discrepancy", {"window": 7, "silent_after": 3}),
    ("online_maximum_mean_discrepancy", {"window": 5, "bandwidth": 0.5, "block_rows": 2}),
    ("online_maximum_mean_discrepancy", {"window": 5, "maximum_reference_rows": 12, "seed": 7}),
    ("online_cumulative_sum", {}),
    ("online_cumulative_sum", {"allowance": 1, "block_rows": 3, "silent_after": 2}),
]
REFERENCES = ("ordinary", "tied", "extreme", "missing")
FEATURES = 2


def reference_rows(kind, rows=40):
    generator = np.random.default_rng(7)
    found = generator.normal(size=(rows, FEATURES))
    if kind == "tied":
        found = np.stack([generator.choice([-1.0, 0.0, 0.5, 2.0], rows), np.full(rows, 3.0)], axis=1)
    if kind == "extreme":
        found = generator.choice(
            [0.0, -0.0, 5e-324, 2.2250738585072014e-308, 1e308, -1.7976931348623157e308], (rows, 2)
        )
    if kind == "missing":
        found[generator.random(found.shape) < 0.2] = np.nan
    return found


def label(variant):
    return "-".join([variant[0].removeprefix("online_"), *(f"{key}={value}" for key, value in variant[1].items())])


def detector_of(variant):
    return create_online(variant[0], {**SHORT, **variant[1]})


@cache
def fitted_on(number, kind):
    detector = detector_of(VARIANTS[number])
    return detector, detector.fit(reference_rows(kind))


every_detector = pytest.mark.parametrize("number", range(len(VARIANTS)), ids=[label(variant) for variant in VARIANTS])


@st.composite
def streams(draw, parts):
    """Rows of all characters, with missing values and infinities among them."""
    found = []
    for _ in range(parts):
        rows = draw(rows_like(FEATURES, most=15))
        for value in (np.nan, np.inf, -np.inf):
            for row in draw(st.lists(st.integers(0, len(rows) - 1), max_size=3)) if len(rows) else ():
                rows[row, draw(st.integers(0, FEATURES - 1))] = value
        found.append(rows)
    return draw(st.sampled_from(REFERENCES)), *found


def bits(results):
    return results.statistic.tobytes(), results.threshold.tobytes()


def size_of(state):
    return sum(array.nbytes for array in state.arrays().values())


@every_detector
@given(streams(2))
@settings(max_examples=60)
def test_running_over_all_rows_is_running_over_one_part_and_then_the_other(number, drawn):
    kind, x, y = drawn
    detector, reference = fitted_on(number, kind)
    state, together = detector.run(reference, detector.start(reference), np.concatenate([x, y]))
    middle, first = detector.run(reference, detector.start(reference), x)
    end, second = detector.run(reference, middle, y)
    assert end == state
    assert hash(end) == hash(state)
    assert together.statistic.tobytes() == first.statistic.tobytes() + second.statistic.tobytes()
    assert (first.first_row, second.first_row) == (1, len(x) + 1)
    assert together.alarms.tolist() == [*first.alarms, *second.alarms]


@every_detector
@given(streams(1))
@settings(max_examples=60)
def test_an_update_is_a_run_over_one_row(number, drawn):
    kind, rows = drawn
    detector, reference = fitted_on(number, kind)
    state = detector.start(reference)
    end, results = detector.run(reference, state, rows)
    assert len(results) == len(rows)
    for count, row in enumerate(rows):
        state, result = detector.update(reference, state, row)
        expected = results[count]
        assert bits(result) == bits(expected)
        assert (result.row, result.alarm, result.features) == (count + 1, expected.alarm, expected.features)
        assert result.alarm == results.alarms[count]
        assert state.rows == count + 1
    assert state == end


@every_detector
@given(streams(1))
@settings(max_examples=60)
def test_a_state_survives_its_arrays_and_goes_on_as_it_would_have(number, drawn):
    kind, rows = drawn
    detector, reference = fitted_on(number, kind)
    state, _ = detector.run(reference, detector.start(reference), rows)
    document = codec.decode(codec.encode("state", state.arrays()), kind="state")
    restored = detector.restore(reference, document.arrays)
    assert restored == state
    assert bits(detector.run(reference, restored, rows)[1]) == bits(detector.run(reference, state, rows)[1])


@every_detector
@given(streams(1))
@settings(max_examples=60)
def test_results_are_well_formed(number, drawn):
    kind, rows = drawn
    detector, reference = fitted_on(number, kind)
    _, results = detector.run(reference, detector.start(reference), rows)
    k = FEATURES if detector.scope is Scope.FEATURE else 1
    assert results.statistic.shape == (len(rows), len(reference.thresholds), k)
    assert results.statistic.dtype == np.float64
    assert not np.isinf(results.statistic).any()
    assert reference.thresholds.shape == results.threshold.shape == results.statistic.shape[1:]
    assert np.isfinite(reference.thresholds).all()
    first = results.first_alarm
    assert (first is None) == (not results.alarms.any())
    if first is not None:
        assert first.alarm
        assert first.row == 1 + int(np.flatnonzero(results.alarms)[0])
        assert bool(first.features) == (detector.scope is Scope.FEATURE)


@every_detector
@pytest.mark.parametrize("kind", REFERENCES)
def test_the_same_rows_and_seed_give_the_same_thresholds(number, kind):
    detector, reference = fitted_on(number, kind)
    again = detector_of(VARIANTS[number]).fit(reference_rows(kind))
    assert again.thresholds.tobytes() == reference.thresholds.tobytes()
    assert again.digest == reference.digest
    assert again.count == 40
    assert again.features == FEATURES
    if detector.block_rows == 1:  # then the order of the reference rows means nothing
        shuffled = detector.fit(np.random.default_rng(3).permutation(reference_rows(kind)))
        np.testing.assert_allclose(shuffled.thresholds, reference.thresholds, rtol=1e-6)


@every_detector
def test_the_state_does_not_grow_with_the_stream(number):
    detector, reference = fitted_on(number, "ordinary")
    state = detector.start(reference)
    size = size_of(state)
    after, _ = detector.run(reference, state, np.random.default_rng(1).normal(size=(10_000, FEATURES)))
    assert after.rows == 10_000
    assert size_of(after) == size
    assert len(codec.encode("state", after.arrays())) == len(codec.encode("state", state.arrays()))


@every_detector
def test_what_is_shared_between_threads_is_read_only(number):
    detector, reference = fitted_on(number, "ordinary")
    state, results = detector.run(reference, detector.start(reference), np.ones((9, FEATURES)))
    holders = (reference, detector.start(reference), state, results, detector.restore(reference, state.arrays()))
    arrays = [getattr(held, name) for held in holders for name in type(held).__slots__]
    arrays = [array for array in arrays if isinstance(array, np.ndarray)]
    assert len(arrays) >= 8
    assert not any(array.flags.writeable for array in arrays)


@every_detector
def test_rows_may_be_read_only_and_are_never_kept(number):
    detector, reference = fitted_on(number, "ordinary")
    rows = np.random.default_rng(2).normal(size=(20, FEATURES))
    mine = rows.copy()
    state, _ = detector.run(reference, detector.start(reference), mine)
    mine[:] = 9
    rows.flags.writeable = False
    again, _ = detector.run(reference, detector.start(reference), rows)
    assert again == state
    refitted = detector.fit(rows := reference_rows("ordinary"))
    rows[:] = 9
    assert bits(detector.run(refitted, state, mine)[1]) == bits(detector.run(reference, state, mine)[1])


@every_detector
def test_states_of_different_references_do_not_mix(number):
    detector, reference = fitted_on(number, "ordinary")
    other = detector.fit(reference_rows("ordinary") + 1)
    with pytest.raises(ReferenceMismatch):
        detector.run(other, detector.start(reference), np.zeros((1, FEATURES)))
    assert detector.start(other) != detector.start(reference)
    assert detector.start(other) != "something else"


@every_detector
@pytest.mark.parametrize("rows", [np.zeros((3, 3)), np.zeros((3, 2, 1)), np.array([["a", "b"]]), [[1.0, 2.0]]])
def test_rows_that_do_not_fit_are_refused(number, rows):
    detector, reference = fitted_on(number, "ordinary")
    for take in (detector.run, detector.update):
        with pytest.raises(InvalidRows):
            take(reference, detector.start(reference), rows)
    with pytest.raises(InvalidRows):
        detector.update(reference, detector.start(reference), np.zeros((2, FEATURES)))


@every_detector
@pytest.mark.parametrize("rows", [0, 1, 9])
def test_too_few_reference_rows_are_refused(number, rows):
    with pytest.raises(TooFewRows):
        detector_of(VARIANTS[number]).fit(np.zeros((rows, FEATURES)))


@every_detector
def test_a_row_with_a_missing_value_is_counted_and_measures_nothing_new(number):
    detector, reference = fitted_on(number, "ordinary")
    rows = np.random.default_rng(4).normal(size=(30, FEATURES))
    state, results = detector.run(reference, detector.start(reference), rows)
    after, result = detector.update(reference, state, np.full(FEATURES, np.nan))
    assert result.statistic.tobytes() == results[-1].statistic.tobytes()
    assert after.rows == 31
    assert after.missing.tolist() == [1] * len(after.missing)
    halves = detector.run(reference, after, np.array([[np.nan, 1.0]]))[0]
    assert halves.missing.tolist() == ([2, 1] if detector.scope is Scope.FEATURE else [2])


@every_detector
def test_a_stream_that_goes_silent_is_undecided_until_the_next_value(number):
    detector, reference = fitted_on(number, "ordinary")
    rows = np.random.default_rng(4).normal(size=(100, FEATURES))
    dark = rows.copy()
    dark[:, 0] = np.nan
    state, results = detector.run(reference, detector.start(reference), rows)
    assert not results[-1].undecided.any()
    state, results = detector.run(reference, state, np.concatenate([dark, dark]))
    before, after = results[detector.silent_after - 2], results[detector.silent_after - 1]
    assert not before.undecided.any()
    assert after.undecided[:, 0].all()
    assert not after.undecided[:, 1:].any()
    assert results[-1].undecided[:, 0].all()
    state = detector.restore(reference, state.arrays())
    assert detector.update(reference, state, dark[0])[1].undecided[:, 0].all()
    assert not detector.update(reference, state, rows[0])[1].undecided.any()


@every_detector
def test_a_stream_without_any_value_was_never_decided(number):
    detector, reference = fitted_on(number, "ordinary")
    state, results = detector.run(reference, detector.start(reference), np.full((300, FEATURES), np.nan))
    assert all(results[row].undecided.all() for row in range(300))
    assert detector.restore(reference, state.arrays()) == state


@every_detector
def test_a_state_from_before_silence_was_remembered_is_refused_by_name(number):
    detector, reference = fitted_on(number, "ordinary")
    arrays = dict(detector.start(reference).arrays())
    del arrays["unmeasured"]
    with pytest.raises(InvalidDocument, match="unmeasured"):
        detector.restore(reference, arrays)


@every_detector
def test_whole_numbers_beyond_float64_are_refused(number):
    detector, reference = fitted_on(number, "ordinary")
    with pytest.raises(InvalidRows, match="row 0, column 1 is 9007199254740993"):
        detector.update(reference, detector.start(reference), np.array([[0, 2**53 + 1]]))


@every_detector
@pytest.mark.parametrize("constant", [0.0, 3.0, 0.1, -1e308, 5e-324])
def test_constant_features_are_calm_while_they_stay_and_alarm_when_they_move(number, constant):
    detector = detector_of(VARIANTS[number])
    reference = detector.fit(np.full((30, FEATURES), constant))
    state, calm = detector.run(reference, detector.start(reference), np.full((50, FEATURES), constant))
    assert not calm.alarms.any()
    assert detector.run(reference, state, np.full((50, FEATURES), -7.0))[1].alarms.any()


@every_detector
def test_a_feature_without_reference_values_is_undecided_and_does_not_silence_the_others(number):
    detector = detector_of(VARIANTS[number])
    rows = reference_rows("ordinary")
    rows[:, 1] = np.nan
    if detector.scope is Scope.JOINT:
        with pytest.raises(TooFewRows):
            detector.fit(rows)
        return
    reference = detector.fit(rows)
    _, results = detector.run(reference, detector.start(reference), np.full((60, FEATURES), 100.0))
    assert results[-1].undecided[:, 1].all()
    assert results[-1].features == (0,)


def spoilt(arrays):
    """Arrays that no state of this shape could have, by what is wrong with them."""
    yield "no arrays", {}
    yield "one more", {**arrays, "more": np.zeros(1)}
    for name, array in arrays.items():
        yield f"{name} missing", {key: value for key, value in arrays.items() if key != name}
        yield f"{name} wider", {**arrays, "sums": np.concatenate([np.atleast_1d(array)] * 2)}
        yield f"{name} of another type", {**arrays, "sums": array.astype(np.float32)}
        extremes = (np.nan, np.inf, 1e300) if array.dtype.kind == "f" else (-5, np.iinfo(array.dtype).max)
        for extreme in extremes:
            yield f"{name} {extreme}", {**arrays, "sums": np.full_like(array, extreme)}
    yield "more missing than rows", {**arrays, "missing": arrays["missing"] + arrays["rows"] + 1}
    yield "fewer rows than remembered", {**arrays, "rows": np.array(0, dtype=np.int64)}


@every_detector
def test_hostile_arrays_are_refused(number):
    detector, reference = fitted_on(number, "ordinary")
    rows = np.random.default_rng(4).normal(size=(30, FEATURES)) + 3
    state, _ = detector.run(reference, detector.start(reference), rows)
    for wrong, arrays in spoilt(dict(state.arrays())):
        with pytest.raises(InvalidDocument):
            pytest.fail(f"{wrong}: {detector.restore(reference, arrays)}")


@every_detector
def test_a_gap_before_the_first_value_is_refused(number):
    detector, reference = fitted_on(number, "ordinary")
    state, _ = detector.run(reference, detector.start(reference), np.ones((1, FEATURES)))
    arrays = dict(state.arrays())
    if "recent" in arrays:
        arrays["recent"] = np.roll(arrays["recent"], -1, axis=1 if detector.scope is Scope.FEATURE else 0)
        with pytest.raises(InvalidDocument):
            detector.restore(reference, arrays)


@every_detector
def test_parameters_survive_json_and_are_part_of_the_reference(number):
    detector, reference = fitted_on(number, "ordinary")
    again = create_online(detector.name, json.loads(json.dumps(parameters_of(detector))))
    assert again == detector
    digests = {fitted_on(each, "ordinary")[1].digest for each in range(len(VARIANTS))}
    assert len(digests) == len(VARIANTS)
    assert reference.run_time.expected == 60


@every_detector
def test_progress_is_told_of_every_stream(number):
    told = []
    detector = detector_of(VARIANTS[number])
    reference = detector.fit(reference_rows("ordinary"), progress=lambda done, of: told.append((done, of)))
    streams = reference.run_time.streams
    assert told == [(done, streams) for done in range(1, streams + 1)]


def test_every_registered_detector_is_held_to_the_laws():
    assert {name for name, _ in VARIANTS} == {detector.name for detector in ONLINE_DETECTORS}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("online_kolmogorov_smirnov", {"windows": ()}),
        ("online_kolmogorov_smirnov", {"windows": 20}),
        ("online_kolmogorov_smirnov", {"windows": (80, 20)}),
        ("online_kolmogorov_smirnov", {"windows": (20, 20)}),
        ("online_kolmogorov_smirnov", {"windows": (4,)}),
        ("online_kolmogorov_smirnov", {"windows": (20, 80), "expected_run_time": 100}),
        ("online_maximum_mean_discrepancy", {"window": 4}),
        ("online_maximum_mean_discrepancy", {"bandwidth": 0}),
        ("online_cumulative_sum", {"allowance": float("nan")}),
        *((detector.name, {"block_rows": 0}) for detector in ONLINE_DETECTORS),
        *((detector.name, {"seed": -1}) for detector in ONLINE_DETECTORS),
        *((detector.name, {"simulated_rows": 0}) for detector in ONLINE_DETECTORS),
        *((detector.name, {"expected_run_time": 2.5}) for detector in ONLINE_DETECTORS),
        *((detector.name, {"no_such": 1}) for detector in ONLINE_DETECTORS),
    ],
)
def test_parameters_out_of_range_are_refused(name, parameters):
    with pytest.raises(InvalidParameter):
        create_online(name, parameters)


@pytest.mark.parametrize("kind", REFERENCES)
def test_kolmogorov_smirnov_is_scipys_for_every_window(kind):
    detector, reference = fitted_on(0, kind)
    learnt = reference_rows(kind)
    rows = np.concatenate([reference_rows(kind, 60)[40:], reference_rows("missing", 30)])
    _, results = detector.run(reference, detector.start(reference), rows)
    for feature in range(FEATURES):
        known = learnt[~np.isnan(learnt[:, feature]), feature]
        for number, window in enumerate(detector.windows):
            for row in range(len(rows)):
                seen = rows[: row + 1, feature]
                seen = seen[~np.isnan(seen)][-window:]
                expected = ks_2samp(known, seen, method="asymp").statistic if len(seen) == window else np.nan
                np.testing.assert_allclose(results.statistic[row, number, feature], expected, atol=1e-14)


def test_maximum_mean_discrepancy_is_its_definition():
    detector, reference = fitted_on(2, "ordinary")
    assert detector.window == 7
    learnt = reference_rows("ordinary")
    rows = np.random.default_rng(8).normal(size=(30, FEATURES)) * 2
    _, results = detector.run(reference, detector.start(reference), rows)
    scaled, mine = ((part - learnt.mean(axis=0)) / learnt.std(axis=0) for part in (learnt, rows))
    sigma = np.median(pdist(scaled))
    for row in range(30):
        if row < 6:
            assert np.isnan(results.statistic[row]).all()
            continue
        newest = mine[row - 6 : row + 1]
        within, own = (np.exp(-(pdist(part) ** 2) / (2 * sigma**2)).mean() for part in (scaled, newest))
        cross = np.exp(-(cdist(newest, scaled) ** 2) / (2 * sigma**2)).mean()
        np.testing.assert_allclose(results.statistic[row, 0, 0], within + own - 2 * cross, atol=1e-8)


@pytest.mark.parametrize("kind", ["ordinary", "tied"])
def test_a_cumulative_sum_is_pages_recursion_on_ranks(kind):
    detector, reference = fitted_on(5, kind)
    learnt = reference_rows(kind)
    rows = reference_rows(kind, 90)[40:] + 0.5
    _, results = detector.run(reference, detector.start(reference), rows)
    for feature in range(FEATURES):
        ranks = [np.sign(value - learnt[:, feature]).sum() for value in rows[:, feature]]
        spread = np.sqrt(np.mean([np.sign(value - learnt[:, feature]).sum() ** 2 for value in learnt[:, feature]]))
        spread = spread or 40 / np.sqrt(3)
        allowance = np.rint(0.25 * spread)
        up = down = 0
        for row, rank in enumerate(ranks):
            up, down = max(0, up + rank - allowance), max(0, down - rank - allowance)
            np.testing.assert_allclose(results.statistic[row, :, feature], np.array([up, down]) / spread, rtol=1e-12)


def test_no_sum_wraps_however_large_it_became():
    detector, reference = fitted_on(5, "ordinary")
    arrays = dict(detector.start(reference).arrays())
    arrays |= {"rows": np.array(2**53), "unmeasured": np.zeros(FEATURES, dtype=np.int64)}
    highest = np.full((2, FEATURES), 2**62)
    with pytest.raises(InvalidDocument, match="sums"):
        detector.restore(reference, {**arrays, "sums": highest})  # 40 reference rows cannot add up to that
    reference = replace(reference, table=replace(reference.table, counts=np.full(FEATURES, 2**31)))
    with pytest.raises(InvalidDocument, match="sums"):
        detector.restore(reference, {**arrays, "sums": np.full((2, FEATURES), 2**63 - 1)})
    state = detector.restore(reference, {**arrays, "sums": highest})
    reference = fitted_on(5, "ordinary")[1]
    rows = np.full((50, FEATURES), 1e9)
    after, results = detector.run(reference, state, rows)
    assert (after.sums[0] == 2**62).all()
    assert (after.sums >= 0).all()
    assert results.alarms.all()
    one_by_one = state
    for row in rows:
        one_by_one, _ = detector.update(reference, one_by_one, row)
    assert one_by_one == after
