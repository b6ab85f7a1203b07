"""The plan: which detectors, windows, budget and response one model has. Data, not settings."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from math import inf, isfinite
from typing import Literal

from detectors.errors import InvalidParameter, UnknownDetector
from detectors.registry import DETECTORS, OPTIONAL_DETECTORS, create
from detectors.results import Scope
from service.domain.anomaly_plan import AnomalyPlan, anomaly_faults
from service.domain.errors import Fault, InvalidPlan
from service.domain.performance import PerformancePlan
from service.domain.retraining.response_plan import ResponsePlan, response_document, response_faults
from service.domain.schema import Kind, MismatchPlan, Role, Schema
from service.domain.season import SeasonPlan, season_faults

JSONScalar = str | int | float | bool | None

MAXIMUM_WINDOW_ROWS = 50_000
"""Rows may come one a batch, and a window's batches must fit into a log of the default size before it can be cut."""
MINIMUM_WINDOW_ROWS = 20
"""Below about twenty rows no rank test can reach a p-value that survives a correction over features."""
MAXIMUM_OVERLAP = 100
"""Windows that a row may be in: each is a test."""
DEFAULT_SAMPLE_ROWS = 10_000
MAXIMUM_WINDOW_SECONDS = 7 * 24 * 3600
MAXIMUM_WINDOWS_LATE = 10
"""Lateness in lengths of a window: so many windows may be open at once, each with rows in memory."""
MAXIMUM_DETECTORS = 16
MAXIMUM_BUDGET_WINDOWS = 1_000_000_000
MAXIMUM_BUDGET_SECONDS = 10 * 365 * 86_400


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """How the log is cut: by count (`rows`), by time (`every_seconds`), or by what comes first (both)."""

    rows: int | None = 500
    """Rows a window; the cut is exact, wherever the batches end. None: by time alone."""
    step: int | None = None
    """Rows from the beginning of one window to that of the next, fewer than `rows`; None: windows do not overlap."""
    every_seconds: int | None = None
    """Length of a window in event time, aligned to its multiples since the epoch; None: by count alone."""
    lateness_seconds: int = 0
    """By time alone: how long a window waits in event time for rows that come out of order."""
    sample_rows: int | None = None
    """A window's detectors look at no more than this many of its rows, drawn evenly. None: at all of them; by time
    alone at `DEFAULT_SAMPLE_ROWS`, because what must be held has to be bounded."""
    minimum_rows: int = 20
    """A window of fewer rows is `UNDECIDED`."""
    keep: Literal["rows", "summaries"] = "rows"
    """What the log holds. With `summaries`, a batch's rows are gone when it is acknowledged; a window by count then
    ends with the batch that fills it, and detectors must be `bounded`."""

    @property
    def every_ms(self) -> int | None:
        """`every_seconds` in milliseconds, as event times are."""
        return None if self.every_seconds is None else self.every_seconds * 1000

    @property
    def most_tested_rows(self) -> int:
        """The most rows of a window that detectors look at; where summaries stand for them, that blocks stand for."""
        if self.keep == "summaries":
            return MAXIMUM_WINDOW_ROWS
        largest = DEFAULT_SAMPLE_ROWS if self.rows is None else self.rows
        return largest if self.sample_rows is None else min(self.sample_rows, self.rows or self.sample_rows)

    @property
    def varies(self) -> bool:
        """Whether windows may have fewer rows than that."""
        return self.every_seconds is not None or self.keep == "summaries"


@dataclass(frozen=True, slots=True)
class DetectorPlan:
    """One detector of a plan."""

    name: str
    parameters: Mapping[str, JSONScalar] = field(default_factory=dict)
    features: tuple[str, ...] | None = None
    """Those that it looks at, e.g. the categorical ones for `chi_square`; None for all.

    A detector of scope `feature` may be planned again, with other parameters, for others."""
    minimum_effect: float = 0.0
    """A smaller difference is no drift however surprising it is: with enough rows everything is significant."""


@dataclass(frozen=True, slots=True)
class FalseAlarmBudget:
    """How many windows may be found drifted in a stretch of windows or of time, when nothing has changed."""

    at_most: int = 1
    per_windows: int | None = None
    """Either so many windows ..."""
    per_seconds: int | None = None
    """... or so much event time."""

    def windows_per_alarm(self, window_seconds: float) -> float:
        """The same in windows that last so long; infinite where a period is asked for and windows have no length."""
        if self.per_windows is not None:
            return self.per_windows / self.at_most
        assert self.per_seconds is not None  # noqa: S101 - a checked plan has one of them
        return max(self.per_seconds / self.at_most / window_seconds, 1.0) if window_seconds > 0 else inf


@dataclass(frozen=True, slots=True)
class DecisionPlan:
    """How often an alarm may be false."""

    false_alarm_rate: float = 0.05
    """Of one window, all detectors and features together, when nothing has changed. Without a budget."""
    false_alarms: FalseAlarmBudget | None = None
    """Over time, all detectors and features together; it takes the place of the rate."""
    season: SeasonPlan | None = None
    """Rows are compared with those of the same hour or day; None: with all of the reference."""


def _default_detectors() -> tuple[DetectorPlan, ...]:
    return (
        DetectorPlan("kolmogorov_smirnov", minimum_effect=0.1),
        DetectorPlan("maximum_mean_discrepancy"),
    )


def detectors_on_summaries() -> tuple[DetectorPlan, ...]:
    """The default where rows are not kept: the same questions, answered from what can be merged."""
    return (
        DetectorPlan("kolmogorov_smirnov", minimum_effect=0.1),
        DetectorPlan("fast_maximum_mean_discrepancy"),
    )


_WINDOW_DEFAULTS = asdict(WindowPlan())


@dataclass(frozen=True)
class Plan:
    """All of it; every field has a default, so that a reference alone is enough to begin."""

    window: WindowPlan = WindowPlan()
    detectors: tuple[DetectorPlan, ...] = field(default_factory=_default_detectors)
    decision: DecisionPlan = DecisionPlan()
    response: ResponsePlan = field(default_factory=ResponsePlan)
    missing_values: Literal["refuse", "keep"] = "refuse"
    """Of observations: `refuse` answers 422 to a batch with a hole; `keep` takes it, and detectors count holes."""
    schema_mismatch: MismatchPlan = field(default_factory=MismatchPlan)
    """What becomes of observations that do not match the schema."""
    performance: PerformancePlan | None = None
    """Of a classifier: how well it does, estimated without labels; None: nobody asks."""
    anomalies: AnomalyPlan | None = None
    """Which rows are flagged, and what becomes of them; None: rows have no labels."""

    @cached_property
    def digest(self) -> str:
        """Of the canonical JSON form: two plans that say the same have the same."""
        document = asdict(self)
        # What windows could not say before is left out where it is not said: older plans keep their digests.
        changed = {name: value for name, value in document["window"].items() if value != _WINDOW_DEFAULTS[name]}
        document["window"] = {"rows": self.window.rows, **changed}
        if self.decision.false_alarms is None:
            del document["decision"]["false_alarms"]
        if self.decision.season is None:
            del document["decision"]["season"]
        if self.missing_values == "refuse":
            del document["missing_values"]
        if self.schema_mismatch == MismatchPlan():
            del document["schema_mismatch"]
        if self.performance is None:
            del document["performance"]
        document["response"] = response_document(document["response"])
        if self.anomalies is None:
            del document["anomalies"]
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def with_columns(plan: Plan, schema: Schema) -> Plan:
    """With the columns of performance named, where it is planned; raises `InvalidPlan` if they are not there."""
    if plan.performance is None:
        return plan
    return replace(plan, performance=plan.performance.of_columns(schema))


def default_plan(schema: Schema) -> Plan:
    """For a reference alone: numbers are compared as sizes, and categories as what they are."""
    tested = [column for column in schema.kept if column.role in {Role.FEATURE, Role.PREDICTION}]
    categories = tuple(column.name for column in tested if column.kind is Kind.CATEGORICAL)
    if not categories:
        return Plan()
    sizes = tuple(column.name for column in tested if column.kind is not Kind.CATEGORICAL)
    of_sizes = [replace(planned, features=sizes) for planned in _default_detectors()] if sizes else []
    of_categories = (
        DetectorPlan("chi_square", features=categories, minimum_effect=0.1),
        DetectorPlan("unseen_categories", features=categories, minimum_effect=0.01),
    )
    return Plan(detectors=(*of_sizes, *of_categories))


def check(plan: Plan, *, optional_engines: bool = False) -> None:
    """Raise `InvalidPlan` with every fault at once, so that one round of corrections is enough.

    Detectors of an optional engine, with a licence of its own, are faults unless they are switched on.
    """
    faults = [] if optional_engines else _engine_faults(plan)
    faults += [*_window_faults(plan.window), *_detectors_faults(plan), *_decision_faults(plan.decision)]
    faults += _budget_faults(plan.decision.false_alarms, plan.window)
    faults += season_faults(plan.decision.season)
    faults += response_faults(plan.response, plan.window.keep)
    faults += _performance_faults(plan)
    faults += anomaly_faults(plan.anomalies, plan.window.keep)
    if faults:
        raise InvalidPlan(*faults)


def _window_faults(window: WindowPlan) -> list[Fault]:
    faults = [*_size_faults(window), *_step_faults(window), *_lateness_faults(window), *_summary_faults(window)]
    largest = MAXIMUM_WINDOW_ROWS if window.rows is None else window.rows
    if window.sample_rows is not None and not MINIMUM_WINDOW_ROWS <= window.sample_rows <= MAXIMUM_WINDOW_ROWS:
        faults.append(Fault("window.sample_rows", f"must lie between {MINIMUM_WINDOW_ROWS} and {MAXIMUM_WINDOW_ROWS}"))
    elif window.sample_rows is not None and window.sample_rows > max(largest, MINIMUM_WINDOW_ROWS):
        faults.append(Fault("window.sample_rows", "must not be larger than window.rows"))
    if not MINIMUM_WINDOW_ROWS <= window.minimum_rows <= MAXIMUM_WINDOW_ROWS:
        message = f"must lie between {MINIMUM_WINDOW_ROWS} and {MAXIMUM_WINDOW_ROWS}"
        faults.append(Fault("window.minimum_rows", message))
    elif window.minimum_rows > max(_always_there(window), MINIMUM_WINDOW_ROWS):
        most = "window.rows" if window.rows is not None else "the rows that are tested"
        faults.append(Fault("window.minimum_rows", f"must not be larger than {most}, or nothing is ever decided"))
    return faults


def _always_there(window: WindowPlan) -> int:
    """Rows that a full window has, or by time may have."""
    most = window.most_tested_rows
    return most if window.rows is None else min(window.rows, most)


def _size_faults(window: WindowPlan) -> list[Fault]:
    faults = []
    if window.rows is None and window.every_seconds is None:
        faults.append(Fault("window", "needs rows, every_seconds, or both"))
    if window.rows is not None and not MINIMUM_WINDOW_ROWS <= window.rows <= MAXIMUM_WINDOW_ROWS:
        faults.append(Fault("window.rows", f"must lie between {MINIMUM_WINDOW_ROWS} and {MAXIMUM_WINDOW_ROWS}"))
    if window.every_seconds is not None and not 1 <= window.every_seconds <= MAXIMUM_WINDOW_SECONDS:
        faults.append(Fault("window.every_seconds", f"must lie between 1 and {MAXIMUM_WINDOW_SECONDS}"))
    return faults


def _step_faults(window: WindowPlan) -> list[Fault]:
    if window.step is None:
        return []
    if window.rows is None or window.every_seconds is not None:
        return [Fault("window.step", "is for windows by count alone: leave it out, or every_seconds")]
    least = max(1, -(-window.rows // MAXIMUM_OVERLAP))
    if least <= window.step <= max(window.rows, least):
        return []
    return [Fault("window.step", f"must lie between a {MAXIMUM_OVERLAP}th of window.rows and window.rows")]


def _summary_faults(window: WindowPlan) -> list[Fault]:
    if window.keep == "rows":
        return []
    faults = []
    if window.rows is not None and window.every_seconds is not None:
        faults.append(Fault("window", "of summaries is by rows or by every_seconds, not by both"))
    if window.step is not None:
        faults.append(Fault("window.step", "needs the rows themselves: leave it out, or keep rows"))
    if window.sample_rows is not None:
        faults.append(Fault("window.sample_rows", "needs the rows themselves, and summaries stand for all of them"))
    return faults


def _lateness_faults(window: WindowPlan) -> list[Fault]:
    if window.lateness_seconds == 0:
        return []
    if window.every_seconds is None or window.rows is not None:
        message = "is for windows by time alone: those with rows follow the order of arrival, and nothing is late"
        return [Fault("window.lateness_seconds", message)]
    if 0 < window.lateness_seconds <= MAXIMUM_WINDOWS_LATE * window.every_seconds:
        return []
    return [Fault("window.lateness_seconds", f"must lie between 0 and {MAXIMUM_WINDOWS_LATE} times every_seconds")]


def _detectors_faults(plan: Plan) -> list[Fault]:
    if not 1 <= len(plan.detectors) <= MAXIMUM_DETECTORS:
        return [Fault("detectors", f"a plan has 1 to {MAXIMUM_DETECTORS} detectors")]
    faults = []
    for index, detector in enumerate(plan.detectors):
        place = f"detectors[{index}]"
        try:
            made = create(detector.name, dict(detector.parameters))
            if plan.window.keep == "summaries" and not made.bounded:
                message = "tests the rows themselves; with window.keep = summaries choose one that does not: "
                faults.append(Fault(f"{place}.name", message + ", ".join(_bounded())))
        except UnknownDetector as error:
            faults.append(Fault(f"{place}.name", str(error)))
        except InvalidParameter as error:
            faults.append(Fault(f"{place}.parameters.{error.parameter}", str(error)))
        faults += _repetition_faults(place, detector, plan.detectors[:index])
        faults += _selection_faults(f"{place}.features", detector.features)
        if not (isfinite(detector.minimum_effect) and detector.minimum_effect >= 0):
            faults.append(Fault(f"{place}.minimum_effect", "must be a number of at least 0"))
    return faults


def _bounded() -> list[str]:
    return sorted(detector.name for detector in DETECTORS if detector.bounded)


def _repetition_faults(place: str, detector: DetectorPlan, earlier: Sequence[DetectorPlan]) -> list[Fault]:
    """A detector may be planned again for other features: series and verdicts are told apart by both names."""
    same = [each for each in earlier if each.name == detector.name]
    if not same:
        return []
    if detector.name in {each.name for each in (*DETECTORS, *OPTIONAL_DETECTORS) if each.scope is Scope.JOINT}:
        return [Fault(f"{place}.name", "is planned already, and measures all of its features together")]
    taken = [each.features for each in same]
    if detector.features is None or None in taken:
        return [Fault(f"{place}.name", "is planned already; of one that is planned twice, both name their features")]
    looked_at = {name for features in taken for name in features or ()}
    return [
        Fault(f"{place}.features[{number}]", f"is looked at by {detector.name} already")
        for number, name in enumerate(detector.features)
        if name in looked_at
    ]


def _engine_faults(plan: Plan) -> list[Fault]:
    optional = {detector.name for detector in OPTIONAL_DETECTORS}
    message = (
        "is a detector of alibi-detect, which is not open source and switched off: see DRIFT_COMPUTE__ALIBI_DETECT"
    )
    return [
        Fault(f"detectors[{index}].name", message)
        for index, detector in enumerate(plan.detectors)
        if detector.name in optional
    ]


def _selection_faults(place: str, features: tuple[str, ...] | None) -> list[Fault]:
    if features is None:
        return []
    if not features:
        return [Fault(place, "names no feature; leave it out for all of them")]
    return [Fault(f"{place}[{i}]", "is named twice") for i, name in enumerate(features) if features.index(name) != i]


def check_features(plan: Plan, features: tuple[str, ...]) -> None:
    """Raise `InvalidPlan` if the plan looks at features that the reference does not have."""
    known = frozenset(features)
    faults = [
        Fault(f"detectors[{index}].features[{place}]", "is no feature of the reference")
        for index, detector in enumerate(plan.detectors)
        for place, name in enumerate(detector.features or ())
        if name not in known
    ]
    if faults:
        raise InvalidPlan(*faults)


def _decision_faults(decision: DecisionPlan) -> list[Fault]:
    if 0 < decision.false_alarm_rate < 1:
        return []
    return [Fault("decision.false_alarm_rate", "must lie between 0 and 1, both excluded")]


def _budget_faults(budget: FalseAlarmBudget | None, window: WindowPlan) -> list[Fault]:
    if budget is None:
        return []
    place = "decision.false_alarms"
    faults = []
    if not 1 <= budget.at_most <= MAXIMUM_BUDGET_WINDOWS:
        faults.append(Fault(f"{place}.at_most", f"must lie between 1 and {MAXIMUM_BUDGET_WINDOWS}"))
    if (budget.per_windows is None) == (budget.per_seconds is None):
        faults.append(Fault(place, "needs either per_windows or per"))
    elif budget.per_windows is not None and not budget.at_most < budget.per_windows <= MAXIMUM_BUDGET_WINDOWS:
        message = f"must be more than at_most, and at most {MAXIMUM_BUDGET_WINDOWS}"
        faults.append(Fault(f"{place}.per_windows", message))
    elif budget.per_seconds is not None:
        faults += _period_faults(f"{place}.per", budget.per_seconds, budget.at_most * (window.every_seconds or 0))
    return faults


def _period_faults(place: str, seconds: int, least: int) -> list[Fault]:
    if not 1 <= seconds <= MAXIMUM_BUDGET_SECONDS:
        return [Fault(place, f"must lie between 1 second and {MAXIMUM_BUDGET_SECONDS // 86_400} days")]
    if seconds <= least:
        return [Fault(place, "must be longer than at_most times window.every_seconds, or every window may be an alarm")]
    return []


def _performance_faults(plan: Plan) -> list[Fault]:
    if plan.performance is None:
        if plan.response.only_if_it_matters:
            return [Fault("response.only_if_it_matters", "needs performance in the plan: without it nobody knows")]
        return []
    faults = list(plan.performance.faults())
    if plan.response.only_if_it_matters and not plan.performance.estimates:
        faults.append(Fault("response.only_if_it_matters", "needs a metric that is estimated without labels"))
    if (rows := plan.performance.window_rows) is not None and not MINIMUM_WINDOW_ROWS <= rows <= MAXIMUM_WINDOW_ROWS:
        message = f"must lie between {MINIMUM_WINDOW_ROWS} and {MAXIMUM_WINDOW_ROWS}"
        faults.append(Fault("performance.window_rows", message))
    if plan.window.keep == "summaries":
        faults.append(Fault("performance", "needs the predictions themselves: leave it out, or keep rows"))
    return faults
