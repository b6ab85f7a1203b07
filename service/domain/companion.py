"""The companion of a model whose plan asks for performance: a model of its own, whose rows are what labels say.

Outcomes of predictions are rows like any others. So they are windowed, calibrated against those of the reference,
judged and shown by what does that for every model.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import Fault, InvalidModelName, InvalidPlan, InvalidReference
from service.domain.models import ModelName, Reference, model_name
from service.domain.performance import PerformancePlan
from service.domain.plan import DetectorPlan, Plan, WindowPlan
from service.domain.registration import MINIMUM_REFERENCE_ROWS, Registration
from service.domain.retraining.response_plan import ResponsePlan
from service.domain.schema import Role

Values = NDArray[np.float64]

SUFFIX = ".performance"
ERROR, SQUARED_ERROR, ABSOLUTE_ERROR = "error", "squared_error", "absolute_error"
_OF_CLASSIFIERS = (ERROR, SQUARED_ERROR)
_OF_NUMBERS = (ABSOLUTE_ERROR,)
_WINDOW_ROWS = 500
_LARGEST = float(np.finfo(np.float64).max)


def companion_of(model: ModelName) -> ModelName:
    """Its companion's name. Raises `InvalidPlan` where that would be too long."""
    try:
        return model_name(model + SUFFIX)
    except InvalidModelName as error:
        message = f"makes a model whose name ends with {SUFFIX}, which after this one's would be longer than 63"
        raise InvalidPlan(Fault("performance", message)) from error


def watched_by(model: ModelName) -> ModelName | None:
    """Whose companion it would be by its name; None: nobody's."""
    return ModelName(model.removesuffix(SUFFIX)) if model.endswith(SUFFIX) and model != SUFFIX else None


def is_companion(registration: Registration) -> bool:
    """Whether its rows are outcomes."""
    return registration.features in {_OF_CLASSIFIERS, _OF_NUMBERS}


def companion_plan(plan: Plan, asked: PerformancePlan) -> Plan:
    """How outcomes are judged: under the same rate or budget, in windows of their own, without starting anything.

    One-sided, so that what is found is a loss: of errors, which are 0 or 1, the effect is by how much their rate rose.
    Against all of the reference, whatever the model's seasons: outcomes have the time of their batch only.
    """
    rows = asked.window_rows or plan.window.rows or _WINDOW_ROWS
    worse = DetectorPlan("kolmogorov_smirnov", {"alternative": "greater"})
    return Plan(WindowPlan(rows), (worse,), replace(plan.decision, season=None), ResponsePlan(retrain=False))


def reference_of_outcomes(asked: PerformancePlan, reference: Reference) -> Reference:
    """Of the rows that have a label; columns are named. Raises `InvalidReference`."""
    predictions, labels = (
        reference.rows[:, reference.features.index(str(name))] for name in (asked.prediction, asked.label)
    )
    rows = outcomes(asked, predictions, labels)
    if len(rows) < MINIMUM_REFERENCE_ROWS:
        message = f"needs {MINIMUM_REFERENCE_ROWS} rows of the reference with a label, and {len(rows)} have one"
        raise InvalidReference(Fault("performance", message))
    return Reference(_OF_CLASSIFIERS if asked.estimates else _OF_NUMBERS, rows)


def outcomes(asked: PerformancePlan, predictions: Values, labels: Values) -> Values:
    """Shape (rows, columns of a companion), of those rows only that have both.

    Of a classifier: whether it was wrong at the threshold, and the squared difference of probability and label (Brier
    1950). Otherwise the absolute difference. What is too large for a number is the largest there is.
    """
    known = ~(np.isnan(predictions) | np.isnan(labels))
    predictions, labels = predictions[known], labels[known]
    with np.errstate(over="ignore"):
        if not asked.estimates:
            return np.minimum(np.abs(predictions - labels), _LARGEST)[:, None]
        squared = np.minimum((predictions - labels) ** 2, _LARGEST)
    wrong = (predictions >= asked.threshold) != (labels == 1)
    return np.column_stack([wrong.astype(np.float64), squared])


def predictions_in(registration: Registration, rows: Values) -> Values:
    """Of a batch's rows, whose columns are the registration's; its plan asks for performance."""
    asked = registration.plan.performance
    name = asked.prediction if asked is not None else None
    if name is None:
        (name,) = registration.schema.names(Role.PREDICTION)
    return rows[:, registration.features.index(name)]


def label_faults(asked: PerformancePlan, labels: Values, place: str) -> list[Fault]:
    """What of a batch's labels, NaN where one is not known, cannot be one; the first of it."""
    wrong = np.flatnonzero(~(np.isnan(labels) | np.isin(labels, (0.0, 1.0)))) if asked.estimates else ()
    return [Fault(f"{place}[{number}]", "must be 0, 1 or null") for number in wrong[:1]]
