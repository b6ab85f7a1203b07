"""Rows as hypothesis makes them, and every registered detector in several settings."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detectors.registry import create

VARIANTS = [
    ("kolmogorov_smirnov", {}),
    ("kolmogorov_smirnov", {"alternative": "less"}),
    ("kolmogorov_smirnov", {"alternative": "greater"}),
    ("kolmogorov_smirnov", {"method": "exact"}),
    ("mann_whitney", {}),
    ("cramer_von_mises", {}),
    ("anderson_darling", {}),
    ("maximum_mean_discrepancy", {"permutations": 19}),
    ("maximum_mean_discrepancy", {"permutations": 19, "standardise": False}),
    ("maximum_mean_discrepancy", {"permutations": 19, "bandwidth": 0.5, "seed": 7}),
    ("maximum_mean_discrepancy", {"permutations": 19, "maximum_reference_rows": 30, "maximum_window_rows": 18}),
    ("aggregated_maximum_mean_discrepancy", {"permutations": 19}),
    ("aggregated_maximum_mean_discrepancy", {"permutations": 19, "standardise": False, "bandwidths": 3, "seed": 7}),
    ("aggregated_maximum_mean_discrepancy", {"permutations": 19, "maximum_reference_rows": 4, "bandwidths": 12}),
    ("fast_maximum_mean_discrepancy", {"frequencies": 40}),
    ("fast_maximum_mean_discrepancy", {"frequencies": 64, "standardise": False, "bandwidth": 0.5, "seed": 7}),
    ("cross_maximum_mean_discrepancy", {}),
    ("cross_maximum_mean_discrepancy", {"standardise": False, "seed": 7, "bandwidth": 2.0}),
    ("cross_maximum_mean_discrepancy", {"maximum_reference_rows": 30, "maximum_window_rows": 20}),
    ("least_squares_density_difference", {"permutations": 19}),
    ("least_squares_density_difference", {"permutations": 19, "standardise": False, "centres": 3, "bandwidth": 2.0}),
    ("least_squares_density_difference", {"permutations": 19, "maximum_reference_rows": 30, "maximum_window_rows": 18}),
    ("classifier_two_sample", {}),
    ("classifier_two_sample", {"terms": "products", "folds": 3, "seed": 7}),
    ("classifier_two_sample", {"terms": "linear", "maximum_reference_rows": 30, "maximum_window_rows": 18}),
    ("chi_square", {}),
    ("chi_square", {"method": "asymptotic"}),
    ("fisher_exact", {"event": 1.0}),
    ("fisher_exact", {"alternative": "greater", "event": 1.0}),
    ("jensen_shannon", {}),
    ("jensen_shannon", {"bins": 3}),
    ("jensen_shannon", {"bins": None}),
    ("missing_values", {}),
    ("out_of_range", {}),
    ("population_stability_index", {}),
    ("population_stability_index", {"bins": 3}),
    ("population_stability_index", {"bins": None}),
    ("unseen_categories", {}),
    ("outlying_rows", {}),
    ("too_typical_rows", {"rate": 0.1}),
    ("repeated_rows", {}),
]

OF_TWO_CATEGORIES = {"fisher_exact"}
OF_CATEGORIES = {"chi_square", "unseen_categories", "alibi_tabular_drift"}


def label(variant):
    name, parameters = variant
    return f"{name}-{'-'.join(f'{key}={value}' for key, value in parameters.items()) or 'defaults'}"


def detector_of(variant):
    return create(*variant)


ordinary = st.floats(-5, 5, width=32)
tied = st.sampled_from([-1.0, 0.0, 0.5, 0.5000000000000001, 2.0])
extreme = st.sampled_from(
    [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1e308, -1e308, 1.7976931348623157e308, 1.0]
)
anything = st.floats(allow_nan=False, allow_infinity=False)
whole = st.sampled_from([2.0**53, 2.0**53 + 2, -(2.0**63), 7.0])
integers = st.one_of(
    st.integers(2**53 - 2, 2**53 + 3),
    st.integers(-(2**53) - 3, 2 - 2**53),
    st.integers(2**55 - 9, 2**55 + 9),
    st.just(7),
)
"""Whole numbers, not all of which float64 can hold."""
elements = st.sampled_from([ordinary, tied, extreme, anything, st.just(3.0)]).flatmap(lambda chosen: chosen)
CHARACTERS = [ordinary, tied, extreme, anything, whole, st.just(3.0)]
HOSTILE = [
    *CHARACTERS,
    st.sampled_from([1.0, 2.0, float("nan")]),
    st.sampled_from([1.0, -2.0, float("inf"), float("-inf")]),
    st.just(float("nan")),
]


def typical_rows(generator, count, features, variant):
    """Rows of the kind that the detector is for."""
    if variant[0] in OF_TWO_CATEGORIES:
        return generator.integers(0, 2, size=(count, features)).astype(float)
    rows = generator.normal(size=(count, features))
    of_categories = variant[0] in OF_CATEGORIES or ("bins", None) in variant[1].items()
    return (2 * rows).round() if of_categories else rows


def drifted(rows, share, variant):
    """The rows, the first of them (that share) so different that the detector has to notice."""
    changed = rows.copy()
    first = slice(0, round(share * len(rows)))
    if variant[0] == "missing_values":
        changed[first] = np.nan
    elif variant[0] in OF_TWO_CATEGORIES:
        changed[first] = 1.0
    elif variant[0] == "too_typical_rows":
        changed[first] = 0.0  # the middle of typical rows
    else:
        downwards = variant[1].get("alternative") == "less"
        changed[first] = (20.0 + np.arange(first.stop)[:, np.newaxis] % 3) * (-1 if downwards else 1)
    return changed


@st.composite
def rows_like(draw, features, least=0, most=12, characters=CHARACTERS):
    """Rows whose features are each of one character: ordinary, tied, extreme, constant, anything ..."""
    count = draw(st.integers(least, most))
    columns = []
    for _ in range(features):
        character = draw(st.sampled_from(characters))
        columns.append(draw(hnp.arrays(np.float64, count, elements=character)))
    return np.ascontiguousarray(np.array(columns).reshape(features, count).T)


@st.composite
def reference_and_windows(draw, windows=2, least=0, characters=CHARACTERS):
    """A reference and some windows with the same number of features; often they share values."""
    features = draw(st.integers(1, 3))
    reference = draw(rows_like(features, least=3, most=15, characters=characters))
    parts = []
    for _ in range(windows):
        part = draw(rows_like(features, least=least, characters=characters))
        if len(part) and draw(st.booleans()):
            copied = draw(st.integers(1, min(len(part), len(reference))))
            part[:copied] = reference[:copied]
        parts.append(part)
    return reference, *parts


@st.composite
def whole_rows(draw, features, least=1, most=6):
    """Rows of 64-bit integers around what float64 can hold."""
    count = draw(st.integers(least, most))
    return draw(hnp.arrays(np.int64, (count, features), elements=integers))
