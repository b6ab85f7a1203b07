"""What every online detector promises: statistics that depend on the order of rows, and so cannot be merged.

Laws (executable in tests/conformance/detectors/test_sequential.py):

* `run(reference, state, x ++ y)` gives what `run` over x and then, from the state after x, over y gives, bit by bit.
* `update` is `run` over one row.
* A state's size depends on the reference and the parameters alone, never on the rows seen.
* `restore(reference, state.arrays()) == state`.
* The same rows, parameters and seed give the same thresholds, results and states.
* NaN in rows means missing. No row makes an exception of a state: what cannot be measured is NaN, and NaN is no alarm.
* A feature (or, if the detector measures all together, the stream) without a value in the latest `silent_after` rows,
  or without any so far, is undecided until the next one.

The run time is counted in rows from `start` to the first alarm, the rows that fill a window among them. After an
alarm the statistic stays high for a while; whoever has acted upon it starts again.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from numpy.typing import NDArray

from detectors.calibration import Progress
from detectors.protocols import Array
from detectors.results import Scope
from detectors.sequential.results import OnlineResult, OnlineResults, Values
from detectors.sequential.run_lengths import RunTime


class OnlineReference(Protocol):
    """What an online detector learnt from the reference rows; immutable."""

    @property
    def digest(self) -> str:
        """`sha256:` of the reference rows and of every parameter."""
        ...

    @property
    def count(self) -> int:
        """Reference rows it was fitted on."""
        ...

    @property
    def features(self) -> int:
        """Columns of the reference."""
        ...

    @property
    def thresholds(self) -> Values:
        """Shape (statistics, k): an alarm is a statistic above its threshold."""
        ...

    @property
    def run_time(self) -> RunTime:
        """What was stated, and how well the thresholds are known to keep it."""
        ...


class State(Protocol):
    """All that is remembered of the rows seen, on the host; immutable and of fixed size."""

    @property
    def reference_digest(self) -> str: ...

    @property
    def rows(self) -> int:
        """Rows seen since the start, those with missing values among them."""
        ...

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """All that it holds, apart from the digest; what `OnlineDetector.restore` takes back."""
        ...


R = TypeVar("R", bound=OnlineReference)
S = TypeVar("S", bound=State)


class OnlineDetector(Protocol[R, S]):
    """Holds parameters only, so that one instance may be shared by any number of threads."""

    name: ClassVar[str]
    scope: ClassVar[Scope]

    def fit(self, rows: Array, /, *, progress: Progress | None = None) -> R:
        """Learn the reference, and thresholds from simulated streams; raises `InvalidRows`, `TooFewRows`.

        Takes seconds: `progress` is told how many streams are simulated, and how many there will be.
        """
        ...

    def start(self, reference: R, /) -> S:
        """The state before the first row."""
        ...

    def update(self, reference: R, state: S, row: Array, /) -> tuple[S, OnlineResult]:
        """Take one row, shape (features,) or (1, features); raises `InvalidRows`, `ReferenceMismatch`."""
        ...

    def run(self, reference: R, state: S, rows: Array, /) -> tuple[S, OnlineResults]:
        """Take rows in order, the same as one at a time and faster; raises `InvalidRows`, `ReferenceMismatch`."""
        ...

    def restore(self, reference: R, arrays: Mapping[str, NDArray[Any]], /) -> S:
        """The state that these arrays came from; raises `InvalidDocument` if no state of this reference holds them."""
        ...
