"""The part of a plan that is about single rows: which are flagged, and what becomes of them."""

from dataclasses import dataclass

from detectors.anomaly.scores import checked_name
from detectors.errors import InvalidParameter
from service.domain.errors import Fault

SMALLEST_RATE = 1e-9
"""No reference has as many rows as less would take."""
LARGEST_RATE = 0.1


@dataclass(frozen=True, slots=True)
class AnomalyPlan:
    """Every row is labelled when it is read from the log: before it is in a window, and before it can be exported."""

    score: str = "rank_mahalanobis"
    """How strange a row is: the name of one of `detectors.anomaly.scores.SCORES`."""
    outlier_rate: float = 0.001
    """Share of ordinary rows that may be taken for outliers ..."""
    typical_rate: float = 0.001
    """... and for too typical ones."""
    quarantine: bool = True
    """Flagged rows are left out of exports, unless they are asked for. False: they are labelled and counted only."""
    largest_client_share: float | None = None
    """No caller has more than this share of the rows of a window that are exported; None: however many."""


def anomaly_faults(plan: AnomalyPlan | None, keep: str) -> list[Fault]:
    """What is wrong with it; `keep` is what the plan's log holds."""
    if plan is None:
        return []
    faults = []
    if keep != "rows":
        faults.append(Fault("anomalies", "needs the rows themselves: leave it out, or set window.keep to rows"))
    try:
        checked_name("score", plan.score)
    except InvalidParameter as error:
        faults.append(Fault("anomalies.score", str(error)))
    faults += [
        Fault(f"anomalies.{name}", f"must lie between {SMALLEST_RATE} and {LARGEST_RATE}")
        for name, rate in (("outlier_rate", plan.outlier_rate), ("typical_rate", plan.typical_rate))
        if not SMALLEST_RATE <= rate <= LARGEST_RATE
    ]
    if plan.largest_client_share is not None and not 0 < plan.largest_client_share < 1:
        faults.append(Fault("anomalies.largest_client_share", "must lie between 0 and 1, both excluded"))
    return faults
