"""What every detector promises.

Laws (executable in tests/conformance/detectors):

* `+` on summaries is associative and commutative, and `empty(reference)` is its neutral element.
* `summarise(reference, x ++ y) == summarise(reference, x) + summarise(reference, y)`.
* `test` is a pure function: the same reference, summary and parameters give the same bits.
* `test(...).statistic` and `.effect` are those of `measure(...)`.
* `restore(reference, summary.arrays()) == summary`.
* The statistic and the effect grow with the difference, whatever its direction.
* NaN in rows means missing. No rows and no values make an exception of a window: what cannot be measured is NaN.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable

from numpy.typing import NDArray

from detectors.results import DriftResult, Measurement, Scope

Array = Any
"""A two-dimensional array (rows, features) of any library that `detectors.arrays` speaks."""


class Reference(Protocol):
    """What a detector learnt from the reference rows; immutable."""

    @property
    def digest(self) -> str:
        """`sha256:` of the reference rows and of every parameter that influences the result."""
        ...

    @property
    def count(self) -> int:
        """Reference rows it was fitted on."""
        ...


class Summary(Protocol):
    """A mergeable statistic of rows, on the host; immutable."""

    @property
    def reference_digest(self) -> str: ...

    @property
    def count(self) -> int:
        """Rows summarised, those with missing values among them."""
        ...

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """All that it holds, apart from the digest; what `Detector.restore` takes back."""
        ...

    def __add__(self, other: Self, /) -> Self:
        """Merge; raises `ReferenceMismatch` when the other summary belongs to another reference."""
        ...


R = TypeVar("R", bound=Reference)
S = TypeVar("S", bound=Summary)


class Detector(Protocol[R, S]):
    """Holds parameters only, so that one instance may be shared by any number of threads."""

    name: ClassVar[str]
    scope: ClassVar[Scope]
    bounded: ClassVar[bool]
    """Whether a summary stays below a size that the reference sets, however many rows are merged, and keeps no row."""

    def fit(self, rows: Array, /) -> R:
        """Learn from reference rows, and compute where they are; raises `InvalidRows`, `TooFewRows`.

        An optional library that is not installed raises `EngineUnavailable`.
        """
        ...

    def empty(self, reference: R, /) -> S:
        """The summary of no rows."""
        ...

    def summarise(self, reference: R, rows: Array, /) -> S:
        """Summarise window rows; raises `InvalidRows`."""
        ...

    def restore(self, reference: R, arrays: Mapping[str, NDArray[Any]], /) -> S:
        """The summary that these arrays came from; raises `InvalidDocument` if no summary of this reference holds them.

        The arrays may be hostile: what `measure` and `test` would trip over is refused here.
        """
        ...

    def measure(self, reference: R, summary: S, /) -> Measurement:
        """Statistic and effect, without a p-value; NaN where there is too little. Raises `ReferenceMismatch`."""
        ...

    def test(self, reference: R, summary: S, /) -> DriftResult:
        """Measure, and say how surprising that is; NaN where there is too little. Raises `ReferenceMismatch`."""
        ...


@runtime_checkable
class WorksHarder(Protocol):
    """A detector whose `fit` costs more than in proportion to the values it is given."""

    def work_of_fitting(self, rows: int, features: int, /) -> int:
        """About how many numbers it computes beyond that; those that it keeps count eightfold."""
        ...
