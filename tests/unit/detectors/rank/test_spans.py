"""What is done for all features at once is what a loop over them would do."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.rank import reference as references
from detectors.rank import spans
from detectors.rank.kolmogorov_smirnov import KolmogorovSmirnov

some_lengths = st.lists(st.integers(0, 6), min_size=1, max_size=9).map(np.array)


@given(some_lengths, st.randoms(use_true_random=False))
def test_running_sums_are_those_of_every_feature(lengths, random):
    parts = [[random.randint(-9, 9) for _ in range(length)] for length in lengths]
    expected = [[sum(part[:count]) for count in range(len(part) + 1)] for part in parts]
    numbers = np.array([number for part in parts for number in part], dtype=np.int64)
    assert spans.running(numbers, lengths).tolist() == [number for part in expected for number in part]
    assert spans.owners_of(lengths).tolist() == [
        feature for feature, length in enumerate(lengths) for _ in [0] * length
    ]


@given(some_lengths, st.integers(1, 12))
def test_parts_cover_all_features_and_numbers_once(lengths, at_once):
    kept, spans._AT_ONCE = spans._AT_ONCE, at_once
    try:
        parts = list(spans.some_features(lengths))
    finally:
        spans._AT_ONCE = kept
    features = [feature for part, _ in parts for feature in range(len(lengths))[part]]
    assert features == list(range(len(lengths)))
    starts = spans.starts_of(lengths)
    for part, span in parts:
        assert part.start < part.stop
        assert span == slice(starts[part.start], starts[part.stop - 1] + lengths[part.stop - 1])


def test_a_reference_is_the_same_whatever_features_are_fitted_beside_one_another(monkeypatch):
    generator = np.random.default_rng(5)
    rows = generator.normal(size=(200, 7)).round(1)
    rows[:, 2], rows[::3, 4], rows[:, 5] = 2.5, np.nan, np.nan
    at_once = references.fit(KolmogorovSmirnov(), rows)
    monkeypatch.setattr(spans, "_AT_ONCE", 1)
    one_by_one = references.fit(KolmogorovSmirnov(), rows)
    for name in ("ranks", "offsets", "squares", "power_sums", "cell_starts"):
        assert getattr(at_once, name).tolist() == getattr(one_by_one, name).tolist(), name
    for name in ("flat", "keys", "below", "first", "starts", "rounds", "crowded"):
        found, expected = getattr(at_once.knots, name), getattr(one_by_one.knots, name)
        assert np.array_equal(found, expected), name
    assert at_once.brackets.below.tolist() == one_by_one.brackets.below.tolist()
