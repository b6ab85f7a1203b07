"""What every trigger promises: firing the same request any number of times starts it once."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import pytest
import yaml

from service.adapters.kubernetes_credentials import Kubeconfig
from service.adapters.trigger.dry_run import DryRunTrigger
from service.adapters.trigger.kubernetes_object import KubernetesObjectTrigger
from service.adapters.trigger.template import SHIPPED_TEMPLATE, read_template
from service.domain.models import TriggerOutcome, TriggerReceipt
from service.ports import Trigger
from tests.cluster.fixtures import Account
from tests.unit.service.adapters.trigger.requests import order, retrain_request

pytestmark = pytest.mark.anyio

NAMESPACE = "training"


@dataclass(frozen=True, slots=True)
class Triggers:
    """Three of one kind, as in three replicas of the service."""

    namespace: str
    replicas: tuple[Trigger, ...]
    account: Account | None

    def started(self, *receipts: TriggerReceipt) -> list[str]:
        """Names of what runs; of a dry run, what would run if a cluster got the manifests."""
        if self.account is not None:
            return sorted(job["metadata"]["name"] for job in self.account.jobs())
        manifests = {receipt.detail for receipt in receipts}
        return sorted(yaml.safe_load(manifest)["metadata"]["name"] for manifest in manifests)


@pytest.fixture(params=["dry_run", "kubernetes_object"])
async def triggers(request: pytest.FixtureRequest) -> AsyncIterator[Triggers]:
    if request.param == "dry_run":
        template = read_template(SHIPPED_TEMPLATE, NAMESPACE)
        yield Triggers(NAMESPACE, tuple(DryRunTrigger(template) for _ in range(3)), None)
        return
    account: Account = request.getfixturevalue("account")
    template = read_template(SHIPPED_TEMPLATE, account.retraining_namespace)
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(KubernetesObjectTrigger(template, Kubeconfig(str(account.kubeconfig))))
            for _ in range(3)
        ]
        yield Triggers(account.retraining_namespace, tuple(opened), account)


async def test_the_receipt_names_what_was_asked_for(triggers: Triggers) -> None:
    receipt = await triggers.replicas[0].fire(order(retrain_request()))
    assert (receipt.name, receipt.namespace, receipt.kind) == (retrain_request().name, triggers.namespace, "Job")
    assert receipt.outcome in {TriggerOutcome.CREATED, TriggerOutcome.DRY_RUN}


async def test_the_receipt_says_what_was_made(triggers: Triggers) -> None:
    first = await triggers.replicas[0].fire(order(retrain_request()))
    again = await triggers.replicas[1].fire(order(retrain_request()))
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", first.manifest_digest)
    assert (again.uid, again.manifest_digest) == (first.uid, first.manifest_digest)
    if triggers.account is not None:
        [job] = triggers.account.jobs()
        assert first.uid == job["metadata"]["uid"]
        assert first.version.isdecimal()


async def test_the_same_request_again_starts_nothing_more(triggers: Triggers) -> None:
    first, second, third = [await triggers.replicas[0].fire(order(retrain_request())) for _ in range(3)]
    assert triggers.started(first, second, third) == [retrain_request().name]
    assert second.outcome == third.outcome
    assert second.outcome in {TriggerOutcome.ALREADY_EXISTS, TriggerOutcome.DRY_RUN}


async def test_the_same_request_from_another_replica_starts_nothing_more(triggers: Triggers) -> None:
    receipts = [await replica.fire(order(retrain_request())) for replica in triggers.replicas]
    assert triggers.started(*receipts) == [retrain_request().name]


async def test_replicas_that_fire_at_the_same_moment_start_it_once(triggers: Triggers) -> None:
    requests = [retrain_request(name=f"retrain-churn-{number}-x", verdict_number=number) for number in range(1, 9)]
    receipts = await asyncio.gather(*(replica.fire(order(each)) for each in requests for replica in triggers.replicas))
    assert triggers.started(*receipts) == sorted(each.name for each in requests)
    created = sum(receipt.outcome is TriggerOutcome.CREATED for receipt in receipts)
    assert created in {0, len(requests)}  # none in a dry run


async def test_different_requests_start_different_runs(triggers: Triggers) -> None:
    other = replace(retrain_request(), name="retrain-churn-8-abcdef0123", verdict_number=8)
    receipts = [await triggers.replicas[0].fire(order(each)) for each in (retrain_request(), other)]
    assert triggers.started(*receipts) == sorted([retrain_request().name, other.name])
