"""Cutting a log of batches into windows, exactly at the row or at the moment, with repeated batches counted once."""

from service.domain.models import Cursor
from service.domain.plan import WindowPlan
from service.domain.windows.admission import NO_ROWS, Admission, event_times, not_judged
from service.domain.windows.cutter import MAXIMUM_TRACEPARENTS, Cutter, moment
from service.domain.windows.identifiers import RecentIdentifiers
from service.domain.windows.intervals import IntervalCutter
from service.domain.windows.panes import PaneCutter
from service.domain.windows.runs import WindowCutter
from service.domain.windows.sample import RowSample, ranks

__all__ = [
    "MAXIMUM_TRACEPARENTS",
    "NO_ROWS",
    "Admission",
    "Cutter",
    "IntervalCutter",
    "PaneCutter",
    "RecentIdentifiers",
    "RowSample",
    "WindowCutter",
    "cutter",
    "event_times",
    "moment",
    "not_judged",
    "ranks",
]


def cutter(plan: WindowPlan, features: int, start: Cursor, recent: RecentIdentifiers, key: bytes) -> Cutter:
    """What cuts windows as planned, from `start` on; the same `key` draws the same samples."""
    every_ms = plan.every_ms
    of_panes = plan.keep == "summaries"
    if plan.rows is not None and of_panes:
        return PaneCutter(plan.rows, start, recent)
    if plan.rows is not None:
        return WindowCutter(
            plan.rows,
            features,
            start,
            recent,
            step=plan.step,
            every_ms=every_ms,
            sample_rows=plan.sample_rows,
            key=key,
        )
    assert every_ms is not None  # noqa: S101 - a plan with neither is refused
    lateness_ms, of = plan.lateness_seconds * 1000, None if of_panes else features
    return IntervalCutter(every_ms, lateness_ms, plan.most_tested_rows, of, start, recent, key=key)
