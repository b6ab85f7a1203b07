"""Names and parameters, right and wrong."""

import numpy as np
import pytest

from detectors.errors import InvalidParameter, UnknownDetector
from detectors.registry import DETECTORS, create, parameters_of


def test_names_are_unique():
    assert len({detector.name for detector in DETECTORS}) == len(DETECTORS)


def test_parameters_are_complete():
    assert parameters_of(create("kolmogorov_smirnov", {})) == {"alternative": "two-sided", "method": "asymp"}
    assert parameters_of(create("maximum_mean_discrepancy", {"seed": 3, "bandwidth": 2})) == {
        "permutations": 100,
        "seed": 3,
        "standardise": True,
        "maximum_reference_rows": 1000,
        "maximum_window_rows": 1000,
        "bandwidth": 2.0,
    }


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(UnknownDetector, match=r"no detector has this name.*kolmogorov_smirnov.*maximum_mean"):
        create("ks", {})


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("kolmogorov_smirnov", "p_val", 0.05),
        ("kolmogorov_smirnov", "name", "other"),
        ("kolmogorov_smirnov", "alternative", "both"),
        ("kolmogorov_smirnov", "alternative", None),
        ("kolmogorov_smirnov", "alternative", ["less"]),
        ("maximum_mean_discrepancy", "permutations", 0),
        ("maximum_mean_discrepancy", "permutations", True),
        ("maximum_mean_discrepancy", "permutations", 10.0),
        ("maximum_mean_discrepancy", "permutations", "100"),
        ("maximum_mean_discrepancy", "permutations", 10**9),
        ("maximum_mean_discrepancy", "seed", -1),
        ("maximum_mean_discrepancy", "seed", 2**53),
        ("maximum_mean_discrepancy", "seed", None),
        ("maximum_mean_discrepancy", "standardise", 1),
        ("maximum_mean_discrepancy", "standardise", "yes"),
        ("maximum_mean_discrepancy", "maximum_reference_rows", 1),
        ("maximum_mean_discrepancy", "maximum_window_rows", 10**7),
        ("maximum_mean_discrepancy", "bandwidth", 0),
        ("maximum_mean_discrepancy", "bandwidth", -1.0),
        ("maximum_mean_discrepancy", "bandwidth", True),
        ("maximum_mean_discrepancy", "bandwidth", float("nan")),
        ("maximum_mean_discrepancy", "bandwidth", float("inf")),
        ("maximum_mean_discrepancy", "bandwidth", 10**400),
        ("maximum_mean_discrepancy", "bandwidth", "1"),
        ("maximum_mean_discrepancy", "bandwidth", np.array([1.0, 2.0])),
    ],
)
def test_wrong_parameters_are_refused_by_name(name, parameter, value):
    # What is no parameter at all is the caller's own word, and is not repeated.
    with pytest.raises(InvalidParameter, match=f"{parameter}|{name} has no such parameter; it has") as refused:
        create(name, {parameter: value})
    assert refused.value.parameter == parameter
