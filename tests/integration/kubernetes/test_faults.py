"""An API server that fails in the middle of things delays a run, and neither loses nor doubles it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.adapters.kubernetes_credentials import Kubeconfig
from service.adapters.trigger.kubernetes_object import KubernetesObjectTrigger
from service.adapters.trigger.template import Template
from service.domain.errors import TriggerUnavailable
from service.domain.models import TriggerOutcome
from tests.cluster.api import write_kubeconfig
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fault_proxy import Fault, FaultProxy, faults_before
from tests.cluster.fixtures import Account
from tests.unit.service.adapters.trigger.requests import order, retrain_request

pytestmark = pytest.mark.anyio

CARRIED_OUT = {Fault.ERROR_AFTER, Fault.CUT_AFTER, Fault.CUT_WITHIN, Fault.SILENT_AFTER}


@pytest.fixture
def proxy(control_plane: ControlPlane) -> Iterator[FaultProxy]:
    with faults_before(control_plane.cluster) as started:
        yield started


@pytest.fixture
def kubeconfig(proxy: FaultProxy, account: Account, tmp_path: Path) -> Kubeconfig:
    """The account's, through the proxy."""
    token = account.kubeconfig.with_name("token")
    config = write_kubeconfig(tmp_path / "proxy", proxy.url, account.cluster.ca_file, {"tokenFile": str(token)})
    return Kubeconfig(str(config))


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
async def test_a_fault_at_the_moment_of_creating_is_tried_again_and_makes_one_job(
    proxy: FaultProxy, kubeconfig: Kubeconfig, account: Account, template: Template, fault: Fault
) -> None:
    creating = [fault]
    proxy.choose = lambda method, _: creating.pop() if method == "POST" and creating else Fault.NONE
    asked = order(retrain_request())
    async with KubernetesObjectTrigger(template, kubeconfig, request_timeout_s=2.0) as trigger:
        with pytest.raises(TriggerUnavailable):
            await trigger.fire(asked)
        assert len(account.jobs()) == (fault in CARRIED_OUT)
        receipt = await trigger.fire(asked)
    expected = TriggerOutcome.ALREADY_EXISTS if fault in CARRIED_OUT else TriggerOutcome.CREATED
    assert receipt.outcome is expected
    [job] = account.jobs()
    assert receipt.uid == job["metadata"]["uid"]


async def test_how_long_to_wait_is_what_the_api_server_says(
    proxy: FaultProxy, kubeconfig: Kubeconfig, template: Template
) -> None:
    proxy.choose = lambda method, _: Fault.BUSY if method == "POST" else Fault.NONE
    async with KubernetesObjectTrigger(template, kubeconfig) as trigger:
        with pytest.raises(TriggerUnavailable) as busy:
            await trigger.fire(order(retrain_request()))
    assert busy.value.retry_after == 0
