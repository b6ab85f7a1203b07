"""The values a detector's parameters may take, and the exact form they are remembered in."""

from collections.abc import Sequence

import numpy as np

from detectors.errors import InvalidParameter

MAXIMUM = float(np.finfo(np.float64).max)
MAXIMUM_SEED = 2**53 - 1  # what every JSON reader keeps exactly


def whole_number(parameter: str, value: object, *, at_least: int, at_most: int) -> int:
    """An `int`, and not a `bool`, within the range."""
    if type(value) is not int or not at_least <= value <= at_most:
        raise InvalidParameter(parameter, f"{parameter} is a whole number from {at_least} to {at_most}")
    return value


def positive_number(parameter: str, value: object) -> float:
    """A finite number above zero; whole ones become `float`, so that 1 and 1.0 are one parameter."""
    if type(value) not in {int, float} or not 0 < value <= MAXIMUM:  # type: ignore[operator]
        raise InvalidParameter(parameter, f"{parameter} is a finite number above zero")
    return float(value)  # type: ignore[arg-type]


def small_share(parameter: str, value: object) -> float:
    """A number above zero and at most a half."""
    if type(value) is not float or not 0 < value <= 0.5:
        raise InvalidParameter(parameter, f"{parameter} is a number above zero and at most 0.5")
    return value


def yes_or_no(parameter: str, value: object) -> bool:
    """A `bool`."""
    if type(value) is not bool:
        raise InvalidParameter(parameter, f"{parameter} is true or false")
    return value


def one_of(parameter: str, value: object, choices: Sequence[str]) -> str:
    """One of the words."""
    if not (isinstance(value, str) and value in choices):
        raise InvalidParameter(parameter, f"{parameter} is one of {', '.join(choices)}")
    return str(value)
