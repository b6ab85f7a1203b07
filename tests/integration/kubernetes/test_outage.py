"""An API server that is gone or hangs delays a retraining, and neither loses nor doubles it."""

import pytest

from service.adapters.kubernetes_credentials import Kubeconfig
from service.adapters.trigger.kubernetes_object import KubernetesObjectTrigger
from service.adapters.trigger.template import Template
from service.domain.errors import TriggerUnavailable
from service.domain.models import TriggerOutcome
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import Account
from tests.unit.service.adapters.trigger.requests import order, retrain_request

pytestmark = pytest.mark.anyio

REQUEST = retrain_request()


async def test_a_killed_api_server_is_unavailable_and_after_its_restart_the_request_is_delivered_once(
    trigger: KubernetesObjectTrigger, account: Account, control_plane: ControlPlane
) -> None:
    control_plane.stop_api_server()
    for _ in range(2):
        with pytest.raises(TriggerUnavailable, match="could not be asked"):
            await trigger.fire(order(REQUEST))
    control_plane.start_api_server()
    outcomes = [(await trigger.fire(order(REQUEST))).outcome for _ in range(2)]
    assert outcomes == [TriggerOutcome.CREATED, TriggerOutcome.ALREADY_EXISTS]
    assert len(account.jobs()) == 1


async def test_connections_that_a_restart_has_cut_are_replaced(
    trigger: KubernetesObjectTrigger, account: Account, control_plane: ControlPlane
) -> None:
    await trigger.fire(order(REQUEST))
    control_plane.stop_api_server()
    control_plane.start_api_server()
    later = retrain_request(name="retrain-churn-8-0123456789", verdict_number=8)
    # The first request may meet the cut connection; then it says so, and the next one succeeds.
    try:
        await trigger.fire(order(later))
    except TriggerUnavailable:
        await trigger.fire(order(later))
    assert len(account.jobs()) == 2


async def test_an_api_server_that_hangs_is_given_up_and_the_repetition_still_makes_one_job(
    account: Account, template: Template, control_plane: ControlPlane
) -> None:
    async with KubernetesObjectTrigger(template, Kubeconfig(str(account.kubeconfig)), request_timeout_s=5.0) as trigger:
        await trigger.fire(
            order(retrain_request(name="retrain-churn-6-0123456789", verdict_number=6))
        )  # connections are warm
        trigger._api.request_timeout_s = 0.5
        control_plane.api_server.pause()
        try:
            with pytest.raises(TriggerUnavailable, match="TimeoutError"):
                await trigger.fire(order(REQUEST))
        finally:
            control_plane.api_server.resume()
        trigger._api.request_timeout_s = 30.0
        # Whether the request that was given up still took effect is unknowable here; once is once.
        receipt = await trigger.fire(order(REQUEST))
        assert receipt.outcome in {TriggerOutcome.CREATED, TriggerOutcome.ALREADY_EXISTS}
    assert len(account.jobs()) == 2
