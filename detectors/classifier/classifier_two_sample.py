"""Classifier two-sample test: whether a classifier learns to tell window rows from reference rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, complete, frozen, measurable_rows
from detectors.classifier import models
from detectors.classifier.coordinates import normal_scores
from detectors.classifier.held_out import Trial, dealt, drops, mean_area, p_value, trial
from detectors.errors import InvalidParameter, TooFewRows
from detectors.identity import reference_digest, refuse_other
from detectors.parameters import MAXIMUM_SEED, one_of, positive_number, whole_number
from detectors.results import DriftResult, Measurement, Scope
from detectors.sample import rows as samples
from detectors.sample.rows import RowSample

MAXIMUM_ROWS = 10_000
MAXIMUM_FOLDS = 50
SMALLEST_RIDGE = 1e-6  # less is lost in the rounding of equal columns

_LEAST = 2  # rows of a kind: one to train with, one to score
_MODEL_SEEDS = 2**32  # what scikit-learn takes

_OF_REFERENCE, _OF_WINDOW, _OF_FOLDS, _OF_IMPORTANCES = range(4)  # one seed, four streams of random numbers


@dataclass(frozen=True, slots=True, eq=False)
class ClassifierReference:
    """The reference rows that classifiers are shown."""

    digest: str
    count: int
    rows: Rows
    """Complete ones, in canonical order."""

    @property
    def features(self) -> int:
        """Columns of the reference."""
        return int(self.rows.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class _Evaluation:
    """One classifier and the rows that it has not seen."""

    scorer: models.Scorer
    rows: Rows
    labels: models.Labels
    trained_on: int

    def trial(self) -> Trial:
        return trial(self.scorer(self.rows), self.labels, self.trained_on)


@dataclass(frozen=True, slots=True)
class ClassifierTwoSample:
    """Statistic: the area under the ROC curve for rows not trained on, 0.5 when rows cannot be told apart.

    D. Lopez-Paz and M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017, with the area in place of the
    accuracy: it needs no threshold and no equal numbers of rows. The effect is 2 area - 1, or 0 where that is negative:
    how much more often the window row of a pair gets the higher score than the reference row. It grows with the number
    of rows only as far as the classifier learns more from them.

    The p-value holds for any classifier and however many rows there are (see `detectors.classifier.held_out`). A
    classifier sees each feature's ranks among all rows, as normal quantiles: units, outliers and infinities do not
    matter, and neither does a change that keeps the ranks.
    """

    name: ClassVar[str] = "classifier_two_sample"
    scope: ClassVar[Scope] = Scope.JOINT
    bounded: ClassVar[bool] = False

    model: str = models.LOGISTIC
    """`logistic`, or with scikit-learn `gradient_boosting` or `random_forest`."""
    folds: int = 10
    """One classifier for each but the first. More of them train on more rows, and take longer."""
    seed: int = 0
    """Determines folds, sub-samples and what is random in a model."""
    maximum_reference_rows: int = 1000
    """Of more, a random choice is used."""
    maximum_window_rows: int = 1000
    """The same for the window."""
    terms: str = models.SQUARES
    """What the logistic model adds up: `linear` terms notice values that shift, `squares` also those that spread, and
    `products` also those that become correlated, but in many features each of them less well."""
    ridge: float = 0.1
    """The logistic model's penalty."""

    def __post_init__(self) -> None:
        one_of("model", self.model, models.MODELS)
        whole_number("folds", self.folds, at_least=2, at_most=MAXIMUM_FOLDS)
        whole_number("seed", self.seed, at_least=0, at_most=MAXIMUM_SEED)
        for parameter in ("maximum_reference_rows", "maximum_window_rows"):
            whole_number(parameter, getattr(self, parameter), at_least=_LEAST, at_most=MAXIMUM_ROWS)
        one_of("terms", self.terms, models.TERMS)
        object.__setattr__(self, "ridge", positive_number("ridge", self.ridge))
        if not SMALLEST_RIDGE <= self.ridge <= 1 / SMALLEST_RIDGE:
            raise InvalidParameter("ridge", f"ridge lies between {SMALLEST_RIDGE} and {1 / SMALLEST_RIDGE}")

    def fit(self, rows: Any, /) -> ClassifierReference:
        """Choose rows; raises `InvalidRows`, `TooFewRows`, `EngineUnavailable`, and `InvalidParameter` for more
        features than `products` of them can be made of."""
        models.refuse_unavailable(self.model)
        checked = measurable_rows(rows)
        if self.terms == models.PRODUCTS and checked.shape[1] > models.MAXIMUM_FEATURES_OF_PRODUCTS:
            most = models.MAXIMUM_FEATURES_OF_PRODUCTS
            raise InvalidParameter("terms", f"products are of {most} features at most, not of {checked.shape[1]}")
        known = complete(checked)
        if len(known) < _LEAST:
            raise TooFewRows(f"{len(known)} complete reference rows, and at least {_LEAST} are needed")
        chosen = _chosen(known, self.maximum_reference_rows, (self.seed, _OF_REFERENCE))
        return ClassifierReference(reference_digest(self, checked), len(checked), frozen(chosen))

    def empty(self, reference: ClassifierReference, /) -> RowSample:
        return samples.of(reference.digest, np.empty((0, reference.features)), reference.features)

    def summarise(self, reference: ClassifierReference, rows: Any, /) -> RowSample:
        return samples.of(reference.digest, rows, reference.features)

    def restore(self, reference: ClassifierReference, arrays: Mapping[str, NDArray[Any]], /) -> RowSample:
        return samples.restored(reference.digest, reference.features, arrays)

    def measure(self, reference: ClassifierReference, summary: RowSample, /) -> Measurement:
        window = self._window(reference, summary)
        return _measurement([each.trial() for each in self._evaluations(reference.rows, window)])

    def test(self, reference: ClassifierReference, summary: RowSample, /) -> DriftResult:
        window = self._window(reference, summary)
        trials = [each.trial() for each in self._evaluations(reference.rows, window)]
        measured = _measurement(trials)
        return DriftResult(
            detector=self.name,
            scope=self.scope,
            statistic=measured.statistic,
            p_value=np.array([p_value(trials)]),
            effect=measured.effect,
            missing=np.array([summary.missing], dtype=np.int64),
            reference_count=len(reference.rows),
            window_count=len(window) + summary.missing,
            method="mann_whitney",
            seed=self.seed,
        )

    def importances(self, reference: ClassifierReference, summary: RowSample, /) -> NDArray[np.float64]:
        """What the area loses without each feature, shape (features,): what the classifiers tell windows by.

        Of features that say the same, each gets a part only. About 0, and now and then below, for those that were not
        used; NaN where there is too little to measure. Raises `ReferenceMismatch`.
        """
        window = self._window(reference, summary)
        generator = np.random.default_rng(samples.seed_of((self.seed, _OF_IMPORTANCES), reference.rows, window))
        lost, weights = [], []
        for each in self._evaluations(reference.rows, window):
            weights.append(each.trial().weight)
            lost.append(list(drops(each.scorer, each.rows, each.labels, each.trained_on, generator)))
        if not lost:
            return np.full(reference.features, np.nan)
        return np.average(np.array(lost), axis=0, weights=weights)

    def _window(self, reference: ClassifierReference, summary: RowSample) -> Rows:
        """The window rows that the test rests on."""
        refuse_other(reference.digest, summary)
        return _chosen(summary.rows, self.maximum_window_rows, (self.seed, _OF_WINDOW))

    def _evaluations(self, reference: Rows, window: Rows) -> Iterator[_Evaluation]:
        """One classifier after another, each trained on one fold more."""
        rows = normal_scores(np.concatenate([reference, window]))
        labels = np.arange(len(rows)) >= len(reference)
        generator = np.random.default_rng(samples.seed_of((self.seed, _OF_FOLDS), rows[~labels], rows[labels]))
        for fold in dealt(len(reference), len(window), self.folds, generator):
            scorer = models.trained(
                self.model,
                rows[fold.training],
                labels[fold.training],
                terms=self.terms,
                ridge=self.ridge,
                seed=self.seed % _MODEL_SEEDS,
            )
            yield _Evaluation(scorer, rows[fold.held_out], labels[fold.held_out], len(fold.training))


def _measurement(trials: list[Trial]) -> Measurement:
    area = np.array([mean_area(trials)])
    return Measurement(statistic=area, effect=np.maximum(2 * area - 1, 0))


def _chosen(rows: Rows, limit: int, stream: tuple[int, ...]) -> Rows:
    """In canonical order; of too many, a random choice."""
    return rows[samples.at_most(rows, limit, stream)]
