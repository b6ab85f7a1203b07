"""Sorted numbers of a window, feature by feature: the summaries of the rank family, which merge without loss.

There are two: the *cells* of the rows among the values of the reference (`counts`), and the *values* themselves
(`values`). Sorting what two windows hold is all there is to merging them, so it is put off until somebody looks: the
sum of ten panes is sorted once. A part may put off finding its numbers as well.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import frozen
from detectors.errors import InvalidDocument
from detectors.identity import refuse_other

_PARTS = 16  # as many are kept apart; a sum of thousands is sorted now and then, and stays as cheap a row


class Deferred(Protocol):
    """A part whose numbers are found when somebody looks."""

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def numbers(self) -> NDArray[Any]: ...

    @property
    def missing(self) -> NDArray[np.int64]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """Of each feature, the numbers of the rows summarised; what is missing is the largest of all."""

    key: ClassVar[str]
    """What the array is called."""
    absent: ClassVar[float]
    """The number that stands for a missing value, and is larger than any other."""

    reference_digest: str
    parts: tuple[NDArray[Any] | Deferred, ...]
    """Each of shape (features, rows), ascending along the rows, read-only; at least one."""

    @property
    def count(self) -> int:
        """Rows summarised."""
        return sum(part.shape[1] for part in self.parts)

    @property
    def numbers(self) -> NDArray[Any]:
        """Shape (features, rows), ascending along the rows, read-only: all parts merged."""
        found = [part if isinstance(part, np.ndarray) else part.numbers for part in self.parts]
        if len(found) == 1:
            return found[0]
        merged = np.concatenate(found, axis=1)
        merged.sort(axis=1)
        return frozen(merged)

    @property
    def missing(self) -> NDArray[np.int64]:
        """Shape (features,): missing values."""
        missing = np.zeros(self.parts[0].shape[0], dtype=np.int64)
        for part in self.parts:
            if not isinstance(part, np.ndarray):
                missing += part.missing
            elif part.shape[1] and (part[:, -1] == self.absent).any():  # being sorted, the others need no look
                missing += (part == self.absent).sum(axis=1)
        return missing

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {self.key: self.numbers}

    def __add__(self, other: Self, /) -> Self:
        refuse_other(self.reference_digest, other)
        both = replace(self, parts=self.parts + other.parts)
        return both if len(both.parts) <= _PARTS else replace(both, parts=(both.numbers,))

    def __eq__(self, other: object, /) -> bool:
        if not isinstance(other, Ordered) or self.key != other.key:
            return NotImplemented
        if self.reference_digest != other.reference_digest or self.count != other.count:
            return False
        theirs = other.arrays()
        return all(np.array_equal(array, theirs[name]) for name, array in self.arrays().items())

    def __hash__(self) -> int:
        return hash((self.reference_digest, *(array.tobytes() for array in self.arrays().values())))


def numbers_of(
    arrays: Mapping[str, NDArray[Any]],
    key: str,
    dtype: type[np.generic],
    features: int,
    allowed: Callable[[NDArray[Any]], bool],
) -> NDArray[Any]:
    """What `Ordered.arrays` gave, in a copy; raises `InvalidDocument` for anything that it cannot have given."""
    if arrays.keys() != {key}:
        raise InvalidDocument(f"the summary holds {key}, not {sorted(arrays)}")
    given = arrays[key]
    if given.dtype != dtype or given.ndim != 2 or len(given) != features:
        raise InvalidDocument(f"{key} are {given.dtype} of shape {given.shape}, not {dtype.__name__} of {features}")
    numbers = given.copy()
    if not allowed(numbers):
        raise InvalidDocument(f"{key} out of range")
    if (numbers[:, 1:] < numbers[:, :-1]).any():
        raise InvalidDocument(f"{key} out of order")
    return frozen(numbers)
