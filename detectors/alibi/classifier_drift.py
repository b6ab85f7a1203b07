"""`ClassifierDrift` of alibi-detect, with models that are known by name."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from detectors.alibi.all_features import AllFeatures, each_in_its_unit
from detectors.alibi.engine import UNMEASURED, Values
from detectors.alibi.parameters import LARGEST_SEED, probability
from detectors.arrays import Rows
from detectors.parameters import one_of, positive_number, whole_number, yes_or_no

MODELS = ("logistic_regression", "random_forest", "neural_network")

_FARTHEST_DEVIATIONS = 2.0**10


@dataclass(frozen=True, slots=True)
class AlibiClassifierDrift(AllFeatures):
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
        probability("p_val", self.p_val)
        one_of("model", self.model, MODELS)
        yes_or_no("binarize_preds", self.binarize_preds)
        probability("train_size", self.train_size)
        if self.n_folds is not None:
            whole_number("n_folds", self.n_folds, at_least=2, at_most=100)
        whole_number("epochs", self.epochs, at_least=1, at_most=1000)
        object.__setattr__(self, "learning_rate", positive_number("learning_rate", self.learning_rate))
        whole_number("batch_size", self.batch_size, at_least=1, at_most=2**20)
        whole_number("seed", self.seed, at_least=0, at_most=LARGEST_SEED)

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
                return UNMEASURED
            raise

    def _model(self, features: int) -> Any:
        if self.model == "neural_network":
            layers = import_module("torch.nn")
            return layers.Sequential(layers.Linear(features, 32), layers.ReLU(), layers.Linear(32, 2))
        if self.model == "random_forest":
            return import_module("sklearn.ensemble").RandomForestClassifier(n_estimators=100, random_state=self.seed)
        return import_module("sklearn.linear_model").LogisticRegression(max_iter=1000)

    def _placed(self, reference: Rows, window: Rows) -> tuple[Rows, Rows]:
        reference, window = each_in_its_unit(reference, window)
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
