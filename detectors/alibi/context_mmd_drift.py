"""`ContextMMDDrift` of alibi-detect."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from detectors.alibi.all_features import AllFeatures
from detectors.alibi.parameters import permutation_parameters, probability
from detectors.arrays import Rows
from detectors.errors import EngineUnavailable, InvalidRows
from detectors.parameters import one_of, whole_number

POSITIONS = ("leading", "trailing")


@dataclass(frozen=True, slots=True)
class AlibiContextMMDDrift(AllFeatures):
    """`ContextMMDDrift`: whether features are distributed as they were, given the context they came in.

    Statistic: its conditional MMD^2, averaged over the window's contexts. Effect: its square root. The p-value is no
    permutation test's in the usual sense (contexts are drawn from a model of them), and its regularisation is chosen
    with the permuted rows: so `measure` costs as much as `test`, and rows that are all the same need not have p = 1.
    """

    name: ClassVar[str] = "alibi_context_mmd_drift"
    least_rows: ClassVar[int] = 4

    p_val: float = 0.05
    """See `AlibiKSDrift.p_val`."""
    backend: str = "pytorch"
    """See `AlibiMMDDrift.backend`."""
    context_features: int = 1
    """Columns that are context and are not tested themselves; theirs is an array of its own."""
    context_position: str = "trailing"
    """Whether these are the last columns, or (`leading`) the first ones."""
    n_permutations: int = 1000
    prop_c_held: float = 0.25
    """Share of contexts that are held out."""
    n_folds: int = 5
    batch_size: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        permutation_parameters(self)
        whole_number("context_features", self.context_features, at_least=1, at_most=10_000)
        one_of("context_position", self.context_position, POSITIONS)
        probability("prop_c_held", self.prop_c_held)
        whole_number("n_folds", self.n_folds, at_least=2, at_most=100)
        whole_number("batch_size", self.batch_size, at_least=1, at_most=2**20)

    def _refuse_features(self, features: int) -> None:
        if features <= self.context_features:
            raise InvalidRows(f"rows have {features} features, and {self.context_features} of them are context")
        version = import_module("sklearn").__version__
        if tuple(map(int, version.split(".")[:2])) >= (1, 8):
            raise EngineUnavailable(
                f"ContextMMDDrift of alibi-detect 0.13 needs scikit-learn<1.8, and scikit-learn {version} is installed"
            )

    def _prediction(self, alibi: Any, reference: Rows, window: Rows, device: Any, *, fewest: bool) -> Any:  # noqa: ARG002 - see above
        rows, context = self._parts(reference)
        return alibi.ContextMMDDrift(
            rows,
            context,
            backend=self.backend,
            p_val=self.p_val,
            n_permutations=self.n_permutations,
            prop_c_held=self.prop_c_held,
            n_folds=self.n_folds,
            batch_size=self.batch_size,
            device=device,
        ).predict(*self._parts(window))

    def _parts(self, rows: Rows) -> tuple[Rows, Rows]:
        """What is tested, and its context."""
        if self.context_position == "leading":
            return rows[:, self.context_features :].copy(), rows[:, : self.context_features].copy()
        return rows[:, : -self.context_features].copy(), rows[:, -self.context_features :].copy()
