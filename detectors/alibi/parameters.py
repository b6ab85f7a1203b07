"""The values that the parameters of alibi-detect's detectors may take."""

from typing import Any

from detectors.errors import InvalidParameter
from detectors.parameters import one_of, positive_number, whole_number

ALTERNATIVES = ("two-sided", "less", "greater")
BACKENDS = ("pytorch",)

MAXIMUM_PERMUTATIONS = 100_000
LARGEST_SEED = 2**32 - 1
"""numpy's old generator takes no more."""


def probability(parameter: str, value: object) -> None:
    """Raise `InvalidParameter` unless it is a `float` between 0 and 1, both excluded."""
    if type(value) is not float or not 0 < value < 1:
        raise InvalidParameter(parameter, f"{parameter} lies between 0 and 1")


def permutation_parameters(detector: Any) -> None:
    """Check what its permutation tests have in common; raises `InvalidParameter`."""
    probability("p_val", detector.p_val)
    one_of("backend", detector.backend, BACKENDS)
    whole_number("n_permutations", detector.n_permutations, at_least=1, at_most=MAXIMUM_PERMUTATIONS)
    whole_number("seed", detector.seed, at_least=0, at_most=LARGEST_SEED)


def bandwidth(detector: Any) -> None:
    """Check `sigma`, if it has one, and keep it as a `float`; raises `InvalidParameter`."""
    if detector.sigma is not None:
        object.__setattr__(detector, "sigma", positive_number("sigma", detector.sigma))
