"""Optional: detectors of alibi-detect behind our protocol, for whoever compares with them or moves away from them.

Licence: alibi-detect 0.11.5 and later is under the Business Source License 1.1, which is not an open-source licence.
Using it in production needs a licence from its owner (`LICENCE_NOTICE` says it in full). Nothing here is imported from
it until one of these detectors is fitted, nothing else of Driftwarden needs it, and no code of it is in here.

The extra `alibi` brings it. It needs numpy 1, hence an environment of its own (`make alibi`). Detectors are made of a
name and parameters only; the parameters are those of alibi-detect by name and default, as far as they are JSON values.
Saved detectors are never loaded: theirs are pickles.

What differs from calling it directly:

* alibi-detect draws from the generators of the process. They are seeded for each test and put back as they were, and
  such tests run one at a time; rows are taken in canonical order. So the same rows and seed give the same bits.
* Missing values are left out, and what cannot be measured is NaN. There it would be "no drift".
* Reference rows of extreme magnitude are scaled by a power of two, because it keeps squares as float32 in places.

What does not: p-values are its own. Those of permutation tests can be 0, and count no permutation for the rows as they
came. `measure` of MMD makes do with one permutation, for there is no way around them; the others do them all.
"""

import random
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from threading import Lock
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, backend_of, complete, frozen, is_torch_namespace, measurable_rows
from detectors.errors import EngineUnavailable, InvalidDocument, InvalidParameter, InvalidRows, TooFewRows
from detectors.identity import reference_digest, refuse_other
from detectors.parameters import one_of, positive_number, whole_number, yes_or_no
from detectors.results import DriftResult, Measurement, Scope
from detectors.sample import rows as samples
from detectors.sample.rows import RowSample

LICENCE_NOTICE = (
    "alibi-detect 0.11.5 and later is under the Business Source License 1.1, which is not an open-source licence. Using"
    " it in production needs a licence from its owner, Seldon Technologies Limited (non-profit educational"
    " institutions have one, within its limits). Driftwarden's own detectors do not need it."
)
"""To be said wherever one of these detectors is switched on."""

ALTERNATIVES = ("two-sided", "less", "greater")
BACKENDS = ("pytorch",)
MODELS = ("logistic_regression", "random_forest", "neural_network")
POSITIONS = ("leading", "trailing")

MAXIMUM_PERMUTATIONS = 100_000

_LARGEST_SEED = 2**32 - 1  # numpy's old generator takes no more
_EXPONENTS = (-30, 50)  # within these powers of two, squares of what they keep as float32 are still numbers
_FARTHEST = 2.0**60
_FARTHEST_DEVIATIONS = 2.0**10

_GENERATORS = Lock()  # the process has one of each

Values = NDArray[np.float64]
Pair = tuple[Values, Values]
"""Statistics and p-values."""


def alibi_detect() -> Any:
    """Its module of drift detectors; raises `EngineUnavailable`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its dependencies' deprecations, which nobody here can do anything about
            return import_module("alibi_detect.cd")
    except ImportError as error:
        extra = "the extra driftwarden[alibi] brings it, in an environment of its own (`make alibi`): it needs numpy 1"
        raise EngineUnavailable(f"alibi-detect cannot be imported ({error}); {extra}. {LICENCE_NOTICE}") from error


@dataclass(frozen=True, slots=True, eq=False)
class AlibiReference:
    """Reference rows, and where torch is to compute."""

    digest: str
    count: int
    """Rows, incomplete ones among them."""
    rows: Rows
    """Those that can be used, shape (rows, features), read-only."""
    device: Any
    """torch's name of it."""

    @property
    def features(self) -> int:
        """Columns of the reference."""
        return int(self.rows.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class SortedColumns:
    """The values of each feature in ascending order, and NaN for those that are missing: all that one feature needs."""

    reference_digest: str
    values: Values
    """Shape (features, rows), read-only."""

    @property
    def count(self) -> int:
        """Rows summarised."""
        return int(self.values.shape[1])

    @classmethod
    def of(cls, digest: str, rows: Rows) -> Self:
        """Each column on its own."""
        return cls(digest, _ascending(rows.T))

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {"values": self.values}

    def __add__(self, other: Self, /) -> Self:
        refuse_other(self.reference_digest, other)
        return type(self)(self.reference_digest, _ascending(np.hstack([self.values, other.values])))

    def __eq__(self, other: object, /) -> bool:
        if not isinstance(other, SortedColumns):
            return NotImplemented
        same = np.array_equal(self.values, other.values, equal_nan=True)
        return self.reference_digest == other.reference_digest and same

    def __hash__(self) -> int:
        return hash((self.reference_digest, self.values.shape))


class _EachFeature:
    """A test of one feature at a time, all of them in one call as far as no value is missing."""

    __slots__ = ()

    name: ClassVar[str]
    scope: ClassVar[Scope] = Scope.FEATURE
    bounded: ClassVar[bool] = False

    def fit(self, rows: Any, /) -> AlibiReference:
        """Keep the rows; raises `EngineUnavailable`, `InvalidRows`, `TooFewRows`."""
        alibi_detect()
        measurable = measurable_rows(rows)
        self._refuse_features(measurable.shape[1])
        if not len(measurable):
            raise TooFewRows("no reference rows, and at least 1 is needed")
        return AlibiReference(reference_digest(self, measurable), len(measurable), frozen(measurable.copy()), "cpu")

    def empty(self, reference: AlibiReference, /) -> SortedColumns:
        return SortedColumns.of(reference.digest, np.empty((0, reference.features)))

    def summarise(self, reference: AlibiReference, rows: Any, /) -> SortedColumns:
        return SortedColumns.of(reference.digest, measurable_rows(rows, features=reference.features))

    def restore(self, reference: AlibiReference, arrays: Mapping[str, NDArray[Any]], /) -> SortedColumns:
        if arrays.keys() != {"values"}:
            raise InvalidDocument(f"sorted columns hold values, not {sorted(arrays)}")
        values = arrays["values"]
        if values.dtype != np.float64 or values.ndim != 2 or len(values) != reference.features:
            raise InvalidDocument(f"the values are {values.dtype} of shape {values.shape}, not float64 by feature")
        missing = np.isnan(values)
        numbers = np.where(missing, np.inf, values)
        if np.isinf(values).any() or (numbers[:, 1:] < numbers[:, :-1]).any():
            raise InvalidDocument("the values are not finite and ascending, the missing ones last")
        if (values[missing].view(np.uint64) != np.array(np.nan).view(np.uint64)).any():
            raise InvalidDocument("not every missing value is spelt the same")
        return SortedColumns(reference.digest, frozen(values.copy()))

    def measure(self, reference: AlibiReference, summary: SortedColumns, /) -> Measurement:
        statistic, _ = self._pair(reference, summary)
        return Measurement(statistic=statistic, effect=self._effect(statistic, reference, summary))

    def test(self, reference: AlibiReference, summary: SortedColumns, /) -> DriftResult:
        statistic, p_value = self._pair(reference, summary)
        return DriftResult(
            detector=self.name,
            scope=self.scope,
            statistic=statistic,
            p_value=p_value,
            effect=self._effect(statistic, reference, summary),
            missing=np.isnan(summary.values).sum(axis=1, dtype=np.int64),
            reference_count=reference.count,
            window_count=summary.count,
            method="alibi-detect",
            seed=None,
        )

    def _pair(self, reference: AlibiReference, summary: SortedColumns) -> Pair:
        refuse_other(reference.digest, summary)
        ours, theirs = ~np.isnan(reference.rows.T), ~np.isnan(summary.values)
        whole = ours.all(axis=1) & theirs.all(axis=1) & (summary.count > 0)
        measured = np.full((2, reference.features), np.nan)
        if whole.any():
            columns = np.flatnonzero(whole)
            measured[:, columns] = self._predicted(reference.rows[:, columns], summary.values[columns].T, columns)
        for column in np.flatnonzero(~whole & ours.any(axis=1) & theirs.any(axis=1)):
            one = np.array([column])
            present = reference.rows[ours[column]][:, one], summary.values.T[theirs[column]][:, one]
            measured[:, one] = self._predicted(*present, one)
        return _decided(measured[0], measured[1])

    def _predicted(self, reference: Rows, window: Rows, columns: NDArray[np.intp]) -> Pair:
        with _seeded(0, "cpu"):
            data = self._engine(alibi_detect(), reference.copy(), columns).predict(window.copy())["data"]
        return np.asarray(data["distance"], dtype=np.float64), np.asarray(data["p_val"], dtype=np.float64)

    def _refuse_features(self, features: int) -> None:
        """Raise `InvalidRows` if the parameters need other columns."""

    @abstractmethod
    def _engine(self, alibi: Any, reference: Rows, columns: NDArray[np.intp]) -> Any:
        """Their detector for these rows, which are these of our columns."""

    def _effect(self, statistic: Values, _reference: AlibiReference, _summary: SortedColumns) -> Values:
        return statistic


@dataclass(frozen=True, slots=True)
class AlibiKSDrift(_EachFeature):
    """`KSDrift`. Statistic and effect: D. Theirs are float32 numbers."""

    name: ClassVar[str] = "alibi_ks_drift"

    p_val: float = 0.05
    """Theirs to decide by. What is measured does not depend on it, and what counts as drift is decided elsewhere."""
    alternative: str = "two-sided"

    def __post_init__(self) -> None:
        _probability("p_val", self.p_val)
        one_of("alternative", self.alternative, ALTERNATIVES)

    def _engine(self, alibi: Any, reference: Rows, _columns: NDArray[np.intp]) -> Any:
        return alibi.KSDrift(reference, p_val=self.p_val, alternative=self.alternative)


@dataclass(frozen=True, slots=True)
class AlibiTabularDrift(_EachFeature):
    """`TabularDrift`: Kolmogorov-Smirnov for numbers, chi-square for categories; theirs are float32 numbers.

    Statistic: D, or chi-square. Effect: D, or Cramér's V (the root of chi-square over all rows).
    """

    name: ClassVar[str] = "alibi_tabular_drift"

    p_val: float = 0.05
    """See `AlibiKSDrift.p_val`."""
    categories: str = ""
    """Columns that hold categories, e.g. `0,3`: theirs is `categories_per_feature`, which is no JSON value."""
    alternative: str = "two-sided"
    """Of the Kolmogorov-Smirnov test."""

    def __post_init__(self) -> None:
        _probability("p_val", self.p_val)
        one_of("alternative", self.alternative, ALTERNATIVES)
        _columns_in(self.categories)

    def _refuse_features(self, features: int) -> None:
        beyond = [column for column in _columns_in(self.categories) if column >= features]
        if beyond:
            raise InvalidRows(f"rows have {features} features, and categories name column {beyond[0]}")

    def _engine(self, alibi: Any, reference: Rows, columns: NDArray[np.intp]) -> Any:
        wanted = _columns_in(self.categories)
        categories = {place: None for place, column in enumerate(columns.tolist()) if column in wanted}
        return alibi.TabularDrift(
            reference, p_val=self.p_val, categories_per_feature=categories or None, alternative=self.alternative
        )

    def _effect(self, statistic: Values, reference: AlibiReference, summary: SortedColumns) -> Values:
        effect, columns = statistic.copy(), list(_columns_in(self.categories))
        counted = (~np.isnan(reference.rows.T[columns])).sum(axis=1) + (~np.isnan(summary.values[columns])).sum(axis=1)
        effect[columns] = np.sqrt(statistic[columns] / np.maximum(counted, 1))
        return effect


class _AllFeatures:
    """A test of all features together, on complete rows."""

    __slots__ = ()

    name: ClassVar[str]
    scope: ClassVar[Scope] = Scope.JOINT
    bounded: ClassVar[bool] = False
    least_rows: ClassVar[int] = 2
    """Of the reference and of the window."""

    seed: int

    def fit(self, rows: Any, /) -> AlibiReference:
        """Keep the complete rows; raises `EngineUnavailable`, `InvalidRows`, `TooFewRows`."""
        alibi_detect()
        measurable = measurable_rows(rows)
        self._refuse_features(measurable.shape[1])
        kept = complete(measurable)
        if len(kept) < self._least_rows():
            raise TooFewRows(f"{len(kept)} complete reference rows, and at least {self._least_rows()} are needed")
        backend = backend_of(rows)
        device = backend.device if is_torch_namespace(backend.namespace) else "cpu"
        return AlibiReference(reference_digest(self, measurable), len(measurable), frozen(kept.copy()), device)

    def empty(self, reference: AlibiReference, /) -> RowSample:
        return samples.of(reference.digest, np.empty((0, reference.features)), reference.features)

    def summarise(self, reference: AlibiReference, rows: Any, /) -> RowSample:
        return samples.of(reference.digest, rows, reference.features)

    def restore(self, reference: AlibiReference, arrays: Mapping[str, NDArray[Any]], /) -> RowSample:
        return samples.restored(reference.digest, reference.features, arrays)

    def measure(self, reference: AlibiReference, summary: RowSample, /) -> Measurement:
        statistic, _ = self._pair(reference, summary, fewest=True)
        return Measurement(statistic=statistic, effect=self._effect(statistic))

    def test(self, reference: AlibiReference, summary: RowSample, /) -> DriftResult:
        statistic, p_value = self._pair(reference, summary, fewest=False)
        return DriftResult(
            detector=self.name,
            scope=self.scope,
            statistic=statistic,
            p_value=p_value,
            effect=self._effect(statistic),
            missing=np.array([summary.missing]),
            reference_count=len(reference.rows),
            window_count=summary.count,
            method="alibi-detect",
            seed=self.seed,
        )

    def _pair(self, reference: AlibiReference, summary: RowSample, *, fewest: bool) -> Pair:
        refuse_other(reference.digest, summary)
        if len(summary.rows) < self._least_rows():
            return np.full(1, np.nan), np.full(1, np.nan)
        rows, window = self._placed(reference.rows, samples.in_canonical_order(summary.rows))
        with _seeded(self.seed, reference.device):
            data = self._prediction(alibi_detect(), rows, window, reference.device, fewest=fewest)["data"]
        return _decided(np.array([data["distance"]], dtype=np.float64), np.array([data["p_val"]], dtype=np.float64))

    def _placed(self, reference: Rows, window: Rows) -> tuple[Rows, Rows]:
        """As theirs is to see them."""
        return _in_one_unit(reference, window)

    def _refuse_features(self, features: int) -> None:
        """Raise `InvalidRows` if the parameters need other columns."""

    def _least_rows(self) -> int:
        return self.least_rows

    @abstractmethod
    def _prediction(self, alibi: Any, reference: Rows, window: Rows, device: Any, *, fewest: bool) -> Any:
        """What theirs says of these rows, with the fewest permutations if only the distance is wanted."""

    def _effect(self, statistic: Values) -> Values:
        """The root of a squared distance, whose estimate may be negative."""
        return np.sqrt(np.maximum(statistic, 0))


@dataclass(frozen=True, slots=True)
class AlibiMMDDrift(_AllFeatures):
    """`MMDDrift`. Statistic: the unbiased MMD^2 with a Gaussian kernel. Effect: its square root."""

    name: ClassVar[str] = "alibi_mmd_drift"

    p_val: float = 0.05
    """See `AlibiKSDrift.p_val`."""
    backend: str = "pytorch"
    """On the device of the reference rows, if they came as torch's; theirs is tensorflow, which the extra has not."""
    sigma: float | None = None
    """Bandwidth; None for their median heuristic."""
    n_permutations: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        _permutation_parameters(self)
        _sigma(self)

    def _prediction(self, alibi: Any, reference: Rows, window: Rows, device: Any, *, fewest: bool) -> Any:
        return alibi.MMDDrift(
            reference,
            backend=self.backend,
            p_val=self.p_val,
            sigma=None if self.sigma is None else np.array([self.sigma]),
            configure_kernel_from_x_ref=self.sigma is None,
            n_permutations=1 if fewest else self.n_permutations,
            device=device,
        ).predict(window)

    def _placed(self, reference: Rows, window: Rows) -> tuple[Rows, Rows]:
        if self.sigma is None:
            return _in_one_unit(reference, window)
        # A bandwidth in the rows' own unit: what is far beyond any bandwidth stays there.
        return np.clip(reference, -_FARTHEST, _FARTHEST), np.clip(window, -_FARTHEST, _FARTHEST)


@dataclass(frozen=True, slots=True)
class AlibiLSDDDrift(_AllFeatures):
    """`LSDDDrift`. Statistic: the squared L2 distance of two densities, features standardised by the reference.

    Effect: its square root. Where it finds too few different rows to place its kernels at, the result is NaN; that may
    first show in a permutation, so `measure` does them all.
    """

    name: ClassVar[str] = "alibi_lsdd_drift"

    p_val: float = 0.05
    """See `AlibiKSDrift.p_val`."""
    backend: str = "pytorch"
    """See `AlibiMMDDrift.backend`."""
    sigma: float | None = None
    """Bandwidth in standardised units; None for their median heuristic."""
    n_permutations: int = 100
    n_kernel_centers: int | None = None
    """Reference rows that are set aside for them, chosen by the seed; None for theirs."""
    lambda_rd_max: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        _permutation_parameters(self)
        _sigma(self)
        if self.n_kernel_centers is not None:
            whole_number("n_kernel_centers", self.n_kernel_centers, at_least=1, at_most=10_000)
        _probability("lambda_rd_max", self.lambda_rd_max)

    def _prediction(self, alibi: Any, reference: Rows, window: Rows, device: Any, *, fewest: bool) -> Any:  # noqa: ARG002 - see above
        try:
            return alibi.LSDDDrift(
                reference,
                backend=self.backend,
                p_val=self.p_val,
                sigma=None if self.sigma is None else np.array([self.sigma]),
                n_permutations=self.n_permutations,
                n_kernel_centers=self.n_kernel_centers,
                lambda_rd_max=self.lambda_rd_max,
                device=device,
            ).predict(window)
        except ValueError:  # "Too many repeat instances", or rows that its matrices cannot be inverted for
            return _UNMEASURED

    def _placed(self, reference: Rows, window: Rows) -> tuple[Rows, Rows]:
        return _each_in_its_unit(reference, window)

    def _least_rows(self) -> int:
        return max(self.least_rows, 2 if self.n_kernel_centers is None else self.n_kernel_centers + 2)


@dataclass(frozen=True, slots=True)
class AlibiClassifierDrift(_AllFeatures):
    """`ClassifierDrift` with a model of a few that are known by name, on features standardised by the reference.

    Statistic and effect: their distance, the D between held-out probabilities of reference and window rows (or, with
    `binarize_preds`, the relative gain in accuracy over chance).
    """

    name: ClassVar[str] = "alibi_classifier_drift"

    p_val: float = 0.05
    """See `AlibiKSDrift.p_val`."""
    model: str = "logistic_regression"
    """Or `random_forest` (100 trees), both of scikit-learn; or `neural_network`, one hidden layer of 32 in torch."""
    binarize_preds: bool = False
    train_size: float = 0.75
    """Share of the rows that is trained on; does not matter if there are folds."""
    n_folds: int | None = None
    """Every row is held out once, in one of so many folds."""
    epochs: int = 3
    """Of the neural network, like the next two."""
    learning_rate: float = 1e-3
    batch_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        _probability("p_val", self.p_val)
        one_of("model", self.model, MODELS)
        yes_or_no("binarize_preds", self.binarize_preds)
        _probability("train_size", self.train_size)
        if self.n_folds is not None:
            whole_number("n_folds", self.n_folds, at_least=2, at_most=100)
        whole_number("epochs", self.epochs, at_least=1, at_most=1000)
        object.__setattr__(self, "learning_rate", positive_number("learning_rate", self.learning_rate))
        whole_number("batch_size", self.batch_size, at_least=1, at_most=2**20)
        whole_number("seed", self.seed, at_least=0, at_most=_LARGEST_SEED)

    def _prediction(self, alibi: Any, reference: Rows, window: Rows, device: Any, *, fewest: bool) -> Any:  # noqa: ARG002 - nothing to save
        chosen: dict[str, Any] = {"model": self._model(reference.shape[1]), "backend": "sklearn", "preds_type": "probs"}
        if self.model == "neural_network":
            chosen |= {"backend": "pytorch", "preds_type": "logits", "device": device}
            chosen |= {"epochs": self.epochs, "learning_rate": self.learning_rate, "batch_size": self.batch_size}
            reference, window = reference.astype(np.float32), window.astype(np.float32)
        engine = alibi.ClassifierDrift(
            reference,
            p_val=self.p_val,
            binarize_preds=self.binarize_preds,
            train_size=self.train_size if self.n_folds is None else None,
            n_folds=self.n_folds,
            seed=self.seed,
            **chosen,
        )
        try:
            return engine.predict(window, return_probs=False, return_model=False)
        except ValueError as error:  # by chance none of the few rows of one side is among those to train on
            if "at least 2 classes" in str(error):
                return _UNMEASURED
            raise

    def _model(self, features: int) -> Any:
        if self.model == "neural_network":
            layers = import_module("torch.nn")
            return layers.Sequential(layers.Linear(features, 32), layers.ReLU(), layers.Linear(32, 2))
        if self.model == "random_forest":
            return import_module("sklearn.ensemble").RandomForestClassifier(n_estimators=100, random_state=self.seed)
        return import_module("sklearn.linear_model").LogisticRegression(max_iter=1000)

    def _placed(self, reference: Rows, window: Rows) -> tuple[Rows, Rows]:
        reference, window = _each_in_its_unit(reference, window)
        constant = reference.min(axis=0) == reference.max(axis=0)
        centre = np.where(constant, reference[0], reference.mean(axis=0))
        deviation = np.where(constant, 1.0, reference.std(axis=0))
        deviation[deviation == 0] = 1.0  # squares that underflow
        far = _FARTHEST_DEVIATIONS
        return np.clip((reference - centre) / deviation, -far, far), np.clip((window - centre) / deviation, -far, far)

    def _least_rows(self) -> int:
        return max(4, self.n_folds or 0)

    def _effect(self, statistic: Values) -> Values:
        return np.maximum(statistic, 0)


@dataclass(frozen=True, slots=True)
class AlibiContextMMDDrift(_AllFeatures):
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
        _permutation_parameters(self)
        whole_number("context_features", self.context_features, at_least=1, at_most=10_000)
        one_of("context_position", self.context_position, POSITIONS)
        _probability("prop_c_held", self.prop_c_held)
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


_UNMEASURED = {"data": {"distance": np.nan, "p_val": np.nan}}


def _ascending(columns: Values) -> Values:
    """Each line sorted, NaN last; numpy 1 gives them other bits in passing."""
    ordered = np.sort(columns, axis=1)
    ordered[np.isnan(ordered)] = np.nan
    return frozen(ordered)


def _decided(statistic: Values, p_value: Values) -> Pair:
    """Both, or neither."""
    unknown = ~(np.isfinite(statistic) & np.isfinite(p_value))
    return frozen(np.where(unknown, np.nan, statistic)), frozen(np.where(unknown, np.nan, p_value))


@contextmanager
def _seeded(seed: int, device: Any) -> Iterator[None]:
    """The process's generators at this seed, for one thread at a time, and afterwards as they were; nothing warns."""
    torch = import_module("torch")
    devices = [] if getattr(device, "type", device) == "cpu" else [device]
    with _GENERATORS, warnings.catch_warnings(), np.errstate(all="ignore"), torch.random.fork_rng(devices=devices):
        warnings.simplefilter("ignore")
        numpys, pythons = np.random.get_state(), random.getstate()  # noqa: NPY002 - theirs draws from it
        try:
            np.random.seed(seed)  # noqa: NPY002
            random.seed(seed)
            torch.manual_seed(seed)
            yield
        finally:
            np.random.set_state(numpys)  # noqa: NPY002
            random.setstate(pythons)


def _exponents(largest: Values) -> NDArray[np.intc]:
    """The powers of two to divide by so that extreme magnitudes come near 1; 0 for all others."""
    exponents: NDArray[np.intc] = np.frexp(largest)[1]
    return np.where((exponents < _EXPONENTS[0]) | (exponents > _EXPONENTS[1]), exponents, 0)


def _in_one_unit(reference: Rows, window: Rows) -> tuple[Rows, Rows]:
    """Both rows in the unit that all features share, unless the reference's magnitude is extreme."""
    exponents = _exponents(np.full(reference.shape[1], np.abs(reference).max()))
    return _scaled(reference, exponents), _scaled(window, exponents)


def _each_in_its_unit(reference: Rows, window: Rows) -> tuple[Rows, Rows]:
    """The same, feature by feature, for what standardises them."""
    exponents = _exponents(np.abs(reference).max(axis=0))
    return _scaled(reference, exponents), _scaled(window, exponents)


def _scaled(rows: Rows, exponents: NDArray[np.intc]) -> Rows:
    """Divided by these powers of two, and not beyond what they can square."""
    with np.errstate(over="ignore", under="ignore"):
        return np.clip(np.ldexp(rows, -exponents), -_FARTHEST, _FARTHEST)


def _columns_in(categories: object) -> tuple[int, ...]:
    """The columns that a string lists; raises `InvalidParameter`."""
    if categories == "":
        return ()
    if isinstance(categories, str):
        words = categories.split(",")
        if all(word.isascii() and word.isdigit() and len(word) <= 6 for word in words):
            columns = tuple(map(int, words))
            if len(set(columns)) == len(columns):
                return columns
    raise InvalidParameter("categories", f"categories are different column numbers like 0,3, not {categories!r}")


def _probability(parameter: str, value: object) -> None:
    if type(value) is not float or not 0 < value < 1:
        raise InvalidParameter(parameter, f"{parameter} lies between 0 and 1, not {value!r}")


def _permutation_parameters(detector: AlibiMMDDrift | AlibiLSDDDrift | AlibiContextMMDDrift) -> None:
    _probability("p_val", detector.p_val)
    one_of("backend", detector.backend, BACKENDS)
    whole_number("n_permutations", detector.n_permutations, at_least=1, at_most=MAXIMUM_PERMUTATIONS)
    whole_number("seed", detector.seed, at_least=0, at_most=_LARGEST_SEED)


def _sigma(detector: AlibiMMDDrift | AlibiLSDDDrift) -> None:
    if detector.sigma is not None:
        object.__setattr__(detector, "sigma", positive_number("sigma", detector.sigma))
