"""A simulation finds what the service finds: the same rows, plan and reference, over HTTP and from a list."""

from typing import Any

import numpy as np
import pytest

from service.domain.fitted_plan import fit
from service.domain.models import Reference
from service.domain.simulation import simulate, windows_of
from service.http.schemas import Plan
from tests.integration.service.conftest import Application
from tests.processes.traffic import FEATURES, SMALL_PLAN, payload, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"window": {"rows": 60, "step": 20}},
        {"decision": {"false_alarms": {"at_most": 1, "per_windows": 100}}},
        {"response": {"confirm": 2, "out_of": 3, "cool_down": 2}},
    ],
    ids=["windows by count", "overlapping windows", "a budget", "confirmed twice"],
)
async def test_a_simulation_finds_what_the_service_finds(running_app: Application, changes: dict[str, Any]) -> None:
    plan = {**SMALL_PLAN, "detectors": [{"name": "kolmogorov_smirnov"}], **changes}
    known, calm, moved = rows(1, 2_000), rows(2, 200), rows(3, 200, shift=0.8)
    await running_app.client.put("/v1/models/churn/reference", json=payload(known, features=list(FEATURES)))
    answer = await running_app.client.put("/v1/models/churn/plan", json=plan)
    assert answer.status_code == 200, answer.text
    for first in range(0, 200, 40):
        await running_app.observe(payload(calm[first : first + 40]))
    for first in range(0, 200, 25):
        await running_app.observe(payload(moved[first : first + 25]))
    tried = Plan.model_validate(plan).to_domain()
    fitted = fit(tried, Reference(FEATURES, known))
    expected = list(simulate(tried, lambda _: fitted, list(windows_of(tried, np.concatenate([calm, moved]), None))))

    async def all_judged() -> bool:
        return len(await running_app.verdicts()) == len(expected)

    await eventually_async(all_judged, "every window is judged")
    found = await running_app.verdicts()
    assert [each["finding"] for each in found] == [each.decision.finding for each in expected]
    assert [each["p_value"] for each in found] == [each.decision.p_value for each in expected]
    assert [each["action"] is not None for each in found] == [each.acts for each in expected]
    assert "DRIFT" in {each["finding"] for each in found}
