"""An API server that is gone or hangs delays what is told of runs, and nothing of it is lost."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.adapters.kubernetes_credentials import Kubeconfig
from service.adapters.trigger.kubernetes_object import KubernetesObjectTrigger
from service.adapters.trigger.kubernetes_runs import KubernetesRuns
from service.adapters.trigger.template import Template
from service.domain.errors import TriggerUnavailable
from service.domain.models import model_name
from service.domain.retraining.run import Progress
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import Account
from tests.conformance.ports.test_runs import Told, watching
from tests.unit.service.adapters.trigger.requests import order, retrain_request

pytestmark = pytest.mark.anyio

RUN = retrain_request().name


@pytest.fixture
async def runs(account: Account, template: Template) -> AsyncIterator[KubernetesRuns]:
    credentials = Kubeconfig(str(account.kubeconfig))
    async with KubernetesRuns([template.objects], credentials, request_timeout_s=2.0, watch_s=2) as opened:
        yield opened


async def test_a_watch_ends_with_a_killed_api_server_and_the_next_goes_on_where_it_was(
    trigger: KubernetesObjectTrigger, runs: KubernetesRuns, account: Account, control_plane: ControlPlane
) -> None:
    await trigger.fire(order(retrain_request()))
    told = Told()
    watch = asyncio.create_task(runs.watch(told.take))
    await told.until(Progress.RUNNING)
    await asyncio.to_thread(control_plane.stop_api_server)
    with pytest.raises(TriggerUnavailable, match="could not be asked"):
        await watch
    with pytest.raises(TriggerUnavailable, match="could not be asked"):
        await runs.look(model_name("churn"), RUN)
    await asyncio.to_thread(control_plane.start_api_server)
    path = f"/apis/batch/v1/namespaces/{account.retraining_namespace}/jobs/{RUN}?propagationPolicy=Background"
    await asyncio.to_thread(account.cluster.request, "DELETE", path)
    async with watching(runs) as again:
        await again.until(Progress.GONE)


async def test_a_watch_of_an_api_server_that_hangs_is_given_up(
    trigger: KubernetesObjectTrigger, runs: KubernetesRuns, control_plane: ControlPlane
) -> None:
    await trigger.fire(order(retrain_request()))
    told = Told()
    watch = asyncio.create_task(runs.watch(told.take))
    await told.until(Progress.RUNNING)
    control_plane.api_server.pause()
    try:
        with pytest.raises(TriggerUnavailable, match="could not be asked to watch"):
            await watch
    finally:
        control_plane.api_server.resume()
    async with watching(runs) as again:
        await trigger.fire(order(retrain_request(name="retrain-churn-8-x", verdict_number=8)))
        await again.until(Progress.RUNNING, name="retrain-churn-8-x")
    assert again.of() == []
