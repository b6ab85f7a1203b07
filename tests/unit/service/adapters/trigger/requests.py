"""A request for retraining, for every test of a trigger."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from service.adapters.trigger.template import SHIPPED_TEMPLATE, Template, read_template
from service.domain.models import RetrainRequest, model_name
from service.domain.retraining.gate import Evidence
from service.domain.retraining.run import Order

SHIPPED_DIGEST = read_template(SHIPPED_TEMPLATE, "training").digest
WINDOW_START = datetime(2026, 3, 1, 11, 30, tzinfo=UTC)
WINDOW_END = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def retrain_request(**changes: Any) -> RetrainRequest:
    request = RetrainRequest(
        name="retrain-churn-7-0123456789",
        model=model_name("churn"),
        verdict_number=7,
        window_start=WINDOW_START,
        window_end=WINDOW_END,
        reference_digest="sha256:" + "a" * 64,
        plan_digest="sha256:" + "b" * 64,
        drifted_features=("tenure", "monthly charges"),
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    return replace(request, **changes)


def order(request: RetrainRequest, template: Template | None = None, **changes: Any) -> Order:
    """With that request, permitted with that template or the shipped one."""
    digest = SHIPPED_DIGEST if template is None else template.digest
    return replace(Order(request, Evidence(template_digest=f"sha256:{digest}")), **changes)
