"""The shipped template, fired by the shipped ServiceAccount; and the kinds of Argo Workflows and Tekton."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest

from service.adapters.kubernetes_credentials import Kubeconfig
from service.adapters.trigger.kubernetes_object import KubernetesObjectTrigger
from service.adapters.trigger.template import SHIPPED_TEMPLATE, Template, read_template
from tests.cluster import crds
from tests.cluster.api import ApiError, Cluster
from tests.cluster.fixtures import NO_API, Account, Kubernetes
from tests.processes.waiting import eventually

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
def template(account: Account) -> Template:
    return read_template(SHIPPED_TEMPLATE, account.retraining_namespace)


@pytest.fixture
async def trigger(account: Account, template: Template) -> AsyncIterator[KubernetesObjectTrigger]:
    async with KubernetesObjectTrigger(template, Kubeconfig(str(account.kubeconfig))) as opened:
        yield opened


@pytest.fixture(scope="session")
def defined(kubernetes: Kubernetes) -> Iterator[Cluster]:
    """With both projects' definitions; those that are there already stay as they are."""
    cluster = kubernetes.cluster
    try:
        definitions = crds.definitions()
    except crds.DefinitionsUnavailable as error:
        if "kubernetes" in os.environ.get("DRIFTWARDEN_REQUIRE", ""):
            pytest.fail(f"DRIFTWARDEN_REQUIRE asks for kubernetes: {error}", pytrace=False)
        pytest.skip(f"{NO_API} with Argo and Tekton: {error}")
    ours = [definition for definition in definitions if not _is_there(cluster, definition)]
    for definition in ours:
        cluster.request("POST", DEFINITIONS, definition)
    for definition in definitions:
        eventually(lambda definition=definition: _serves(cluster, definition), definition["metadata"]["name"])
    yield cluster
    for definition in ours if kubernetes.own is None else ():  # our own is thrown away with all that is in it
        cluster.request("DELETE", f"{DEFINITIONS}/{definition['metadata']['name']}")


def _is_there(cluster: Cluster, definition: dict[str, Any]) -> bool:
    with suppress(ApiError):
        return bool(cluster.request("GET", f"{DEFINITIONS}/{definition['metadata']['name']}"))
    return False


def _serves(cluster: Cluster, definition: dict[str, Any]) -> bool:
    """Says so in what it tells of the kinds that it has, which is a moment later than it takes them."""
    spec = definition["spec"]
    with suppress(ApiError):
        told = cluster.request("GET", f"/apis/{spec['group']}/{spec['versions'][0]['name']}")
        return any(resource["kind"] == spec["names"]["kind"] for resource in told["resources"])
    return False
