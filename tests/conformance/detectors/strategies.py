"""Rows as hypothesis makes them, and every registered detector in several settings."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detectors.registry import create

VARIANTS = [
    ("kolmogorov_smirnov", {}),
    ("kolmogorov_smirnov", {"alternative": "less"}),
    ("kolmogorov_smirnov", {"alternative": "greater"}),
    ("maximum_mean_discrepancy", {"permutations": 19}),
    ("maximum_mean_discrepancy", {"permutations": 19, "standardise": False}),
    ("maximum_mean_discrepancy", {"permutations": 19, "bandwidth": 0.5, "seed": 7}),
    ("maximum_mean_discrepancy", {"permutations": 19, "maximum_reference_rows": 4, "maximum_window_rows": 5}),
]


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
elements = st.sampled_from([ordinary, tied, extreme, anything, st.just(3.0)]).flatmap(lambda chosen: chosen)


@st.composite
def rows_like(draw, features, least=0, most=12):
    """Rows whose features are each of one character: ordinary, tied, extreme, constant or anything."""
    count = draw(st.integers(least, most))
    columns = []
    for _ in range(features):
        character = draw(st.sampled_from([ordinary, tied, extreme, anything, st.just(3.0)]))
        columns.append(draw(hnp.arrays(np.float64, count, elements=character)))
    return np.ascontiguousarray(np.array(columns).reshape(features, count).T)


@st.composite
def reference_and_windows(draw, windows=2, least=0):
    """A reference and some windows with the same number of features; often they share values."""
    features = draw(st.integers(1, 3))
    reference = draw(rows_like(features, least=3, most=15))
    parts = []
    for _ in range(windows):
        part = draw(rows_like(features, least=least))
        if len(part) and draw(st.booleans()):
            copied = draw(st.integers(1, min(len(part), len(reference))))
            part[:copied] = reference[:copied]
        parts.append(part)
    return reference, *parts
