"""The shipped template, fired by the shipped ServiceAccount."""

from collections.abc import AsyncIterator

import pytest

from service.adapters.kubernetes_credentials import Kubeconfig
from service.adapters.trigger.kubernetes_object import KubernetesObjectTrigger
from service.adapters.trigger.template import SHIPPED_TEMPLATE, Template, read_template
from tests.cluster.fixtures import Account


@pytest.fixture
def template(account: Account) -> Template:
    return read_template(SHIPPED_TEMPLATE, account.retraining_namespace)


@pytest.fixture
async def trigger(account: Account, template: Template) -> AsyncIterator[KubernetesObjectTrigger]:
    async with KubernetesObjectTrigger(template, Kubeconfig(str(account.kubeconfig))) as opened:
        yield opened
