"""Numbers of many features one after another: what a loop over features would do, for all of them at once.

A loop costs microseconds a feature, which is nothing for thousands of numbers each, and everything for two.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Lengths = NDArray[np.signedinteger]

_AT_ONCE = 2**17  # numbers: temporary arrays of more are slower than the calls that they save


def starts_of(lengths: Lengths) -> NDArray[np.intp]:
    """Where each feature's numbers start."""
    return np.cumsum(lengths) - lengths


def owners_of(lengths: Lengths) -> NDArray[np.intp]:
    """For each number, its feature."""
    return np.repeat(np.arange(len(lengths)), lengths)


def running(numbers: NDArray[Any], lengths: Lengths) -> NDArray[Any]:
    """Of each feature the sum of none of its numbers, of the first, of the first two, ... of all: one more than it has.

    Integers, because sums over all features are subtracted from one another.
    """
    total = np.append(0, np.cumsum(numbers))
    places = np.arange(len(numbers) + len(lengths)) - owners_of(lengths + 1)
    sums: NDArray[Any] = total[places] - np.repeat(total[starts_of(lengths)], lengths + 1)
    return sums


def some_features(lengths: Lengths) -> Iterator[tuple[slice, slice]]:
    """Features in parts of not too many numbers, and where these numbers are."""
    ends = np.cumsum(lengths)
    first = 0
    while first < len(lengths):
        start = int(ends[first] - lengths[first])
        # A feature counts as well, however few numbers it has.
        last = int(np.searchsorted(ends + np.arange(1, len(ends) + 1), start + first + _AT_ONCE, side="right"))
        last = max(last, first + 1)
        yield slice(first, last), slice(start, int(ends[last - 1]))
        first = last
