"""However windows are cut, the oldest batch that still waits is known, and none is when nothing does."""

import pytest

from service.domain.models import Cursor
from service.domain.plan import WindowPlan
from tests.unit.service.domain.windows.logs import Sent, cutter_at, logged

LOG = logged([Sent("a", (1000, 1000, 1000)), Sent("b", (12_000, 12_000)), Sent("c", (13_000, 22_000))])
PLANS = {
    "by count": WindowPlan(rows=2),
    "by time": WindowPlan(rows=None, every_seconds=10),
    "by what comes first": WindowPlan(rows=2, every_seconds=10),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_it_is_the_first_with_rows_for_a_window_to_come(plan: WindowPlan) -> None:
    cuts = cutter_at(plan, LOG, Cursor(), 100)
    assert cuts.oldest_waiting is None
    cuts.feed(LOG[0])
    assert cuts.oldest_waiting == LOG[0].position
    cuts.feed(LOG[1])
    cuts.feed(LOG[2])
    assert cuts.oldest_waiting == LOG[0].position
    oldest = []
    while cuts.cut() is not None:
        oldest.append(cuts.oldest_waiting)
    assert oldest == sorted(oldest, key=str)
    assert LOG[0].position not in oldest[1:]


def test_nothing_waits_when_every_row_is_in_a_window() -> None:
    cuts = cutter_at(PLANS["by count"], LOG[1:], Cursor(), 100)
    cuts.feed(LOG[1])
    assert cuts.cut() is not None
    assert cuts.oldest_waiting is None
