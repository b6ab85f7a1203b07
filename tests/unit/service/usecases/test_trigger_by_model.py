"""Each model's runs come from its own template."""

import pytest
import yaml

from service.adapters.trigger.dry_run import DryRunTrigger
from service.adapters.trigger.template import parse_template
from service.domain.errors import TriggerRejected
from service.domain.models import model_name
from service.usecases.trigger_by_model import TriggerByModel
from tests.unit.service.adapters.trigger.requests import order, retrain_request

pytestmark = pytest.mark.anyio


def dry_run(kind: str) -> DryRunTrigger:
    return DryRunTrigger(parse_template(f"apiVersion: v1\nkind: {kind}\nmetadata: {{}}\n", "retraining"))


async def test_a_models_own_template_goes_before_that_of_all_others() -> None:
    trigger = TriggerByModel({"fraud": dry_run("Own"), "*": dry_run("Other")})
    for model, kind in (("fraud", "Own"), ("churn", "Other")):
        receipt = await trigger.fire(order(retrain_request(model=model_name(model))))
        assert yaml.safe_load(receipt.detail)["kind"] == kind


async def test_a_model_without_one_starts_nothing() -> None:
    with pytest.raises(TriggerRejected):
        await TriggerByModel({"fraud": dry_run("Own")}).fire(order(retrain_request()))
