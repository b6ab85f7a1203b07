"""Argo Workflows and Tekton: their own definitions, in a real API server, take what the shipped templates become.

Neither controller is here: the test says what they would say of a run.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.adapters.kubernetes_credentials import Kubeconfig
from service.adapters.trigger.kubernetes_object import KubernetesObjectTrigger
from service.adapters.trigger.kubernetes_runs import KubernetesRuns
from service.adapters.trigger.template import Template, parse_template, read_template
from service.domain.errors import TriggerRejected
from service.domain.models import TriggerOutcome, model_name
from service.domain.retraining.gate import Evidence
from service.domain.retraining.run import Order, Progress
from tests.cluster import crds
from tests.cluster.api import ApiError, Cluster, load_manifests
from tests.cluster.fixtures import Account
from tests.conformance.ports.test_runs import watching
from tests.unit.service.adapters.trigger.requests import order, retrain_request

pytestmark = pytest.mark.anyio

RETRAINING = Path(__file__).resolve().parents[3] / "deploy" / "retraining"
RUN = retrain_request()
CHURN = model_name("churn")
DIGEST = "sha256:" + "d" * 64


def vetted(template: Template) -> Order:
    return Order(RUN, Evidence(f"sha256:{template.digest}", dataset_digest=DIGEST))


@dataclass(frozen=True, slots=True)
class Kind:
    """What differs."""

    template: str
    referred: str
    collection: str
    parameters: tuple[str, ...]
    status_path: str
    succeeded: dict[str, Any]
    failed: dict[str, Any]
    why: str


ARGO = Kind(
    "argo_workflow.yaml",
    "argo_workflow_template.yaml",
    "/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows",
    ("spec", "arguments", "parameters"),
    "",
    {"phase": "Succeeded", "finishedAt": "2026-03-01T13:00:00Z"},
    {"phase": "Error", "message": "no such image\n\x1b[31m", "finishedAt": "2026-03-01T13:00:00Z"},
    "no such image [31m",
)
TEKTON = Kind(
    "tekton_pipelinerun.yaml",
    "tekton_pipeline.yaml",
    "/apis/tekton.dev/v1/namespaces/{namespace}/pipelineruns",
    ("spec", "params"),
    "/status",
    {
        "conditions": [
            {"type": "Succeeded", "status": "True", "reason": "Completed", "lastTransitionTime": "2026-03-01T13:00:00Z"}
        ]
    },
    {
        "conditions": [
            {
                "type": "Succeeded",
                "status": "False",
                "reason": "Failed",
                "message": "Tasks Completed: 1",
                "lastTransitionTime": "2026-03-01T13:00:00Z",
            }
        ]
    },
    "Failed: Tasks Completed: 1",
)


@dataclass(frozen=True, slots=True)
class Target:
    kind: Kind
    account: Account
    template: Template
    trigger: KubernetesObjectTrigger
    runs: KubernetesRuns

    @property
    def path(self) -> str:
        return f"{self.kind.collection.format(namespace=self.account.retraining_namespace)}/{RUN.name}"

    def made(self) -> dict[str, Any]:
        return self.account.cluster.request("GET", self.path)

    def report(self, status: dict[str, Any]) -> None:
        """As the kind's controller would."""
        said = {"apiVersion": self.template.api_version, "kind": self.template.kind, "status": status}
        path = f"{self.path}{self.kind.status_path}?fieldManager=controller&force=true"
        self.account.cluster.request("PATCH", path, {**said, "metadata": {"name": RUN.name}})


@pytest.fixture(params=[ARGO, TEKTON], ids=["argo", "tekton"])
async def target(defined: Cluster, account: Account, request: pytest.FixtureRequest) -> AsyncIterator[Target]:
    template = read_template(RETRAINING / request.param.template, account.retraining_namespace)
    credentials = Kubeconfig(str(defined.kubeconfig))
    async with (
        KubernetesObjectTrigger(template, credentials) as trigger,
        KubernetesRuns([template.objects], credentials, watch_s=2) as runs,
    ):
        yield Target(request.param, account, template, trigger, runs)


async def test_the_shipped_template_is_taken_with_what_the_run_is_told(target: Target) -> None:
    outcomes = [(await target.trigger.fire(vetted(target.template))).outcome for _ in range(2)]
    assert outcomes == [TriggerOutcome.CREATED, TriggerOutcome.ALREADY_EXISTS]
    told: Any = target.made()
    for member in target.kind.parameters:
        told = told[member]
    assert {"name": "driftwarden-dataset-digest", "value": DIGEST} in told
    assert {"name": "driftwarden-drift-event", "value": RUN.name} in told


async def test_what_the_shipped_template_refers_to_is_taken_and_uses_no_other_parameters(target: Target) -> None:
    """Named by `pins` in the retrainings file."""
    namespace = target.account.retraining_namespace
    referred = load_manifests(RETRAINING / target.kind.referred)
    for manifest in referred:
        metadata = {**manifest["metadata"], "namespace": namespace}
        path = target.account.cluster.path_of({**manifest, "metadata": metadata}).rpartition("/")[0]
        taken = target.account.cluster.request(
            "POST", f"{path}?fieldValidation=Strict", {**manifest, "metadata": metadata}
        )
        assert taken["spec"].keys() >= manifest["spec"].keys()
    receipt = await target.trigger.fire(vetted(target.template))
    told: Any = target.made()
    for member in target.kind.parameters:
        told = told[member]
    declared = {each["name"] for each in _declared(referred[0])}
    assert declared <= {each["name"] for each in told}
    assert receipt.uid == target.made()["metadata"]["uid"]


@pytest.mark.parametrize("ends", [Progress.SUCCEEDED, Progress.FAILED])
async def test_its_end_is_told(target: Target, ends: Progress) -> None:
    await target.trigger.fire(vetted(target.template))
    async with watching(target.runs) as told:
        await told.until(Progress.RUNNING)
        status = target.kind.succeeded if ends is Progress.SUCCEEDED else target.kind.failed
        await asyncio.to_thread(target.report, status)
        seen = await told.until(Progress.RUNNING, ends)
    assert seen.detail == ("" if ends is Progress.SUCCEEDED else target.kind.why)
    assert seen.at is not None
    assert seen.at.isoformat() == "2026-03-01T13:00:00+00:00"


async def test_it_waits_and_is_let_go_on(target: Target) -> None:
    await target.trigger.fire(order(RUN, target.template, suspended=True))
    async with watching(target.runs) as told:
        await told.until(Progress.SUSPENDED)
        for _ in range(2):
            await target.runs.release(CHURN, RUN.name)
        await told.until(Progress.SUSPENDED, Progress.RUNNING)
    assert not {"suspend", "status"} & target.made()["spec"].keys()


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {}\nspec: {entrypont: train}", "entrypont"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {}\nspec: {podGC: {strtegy: a}}", "strtegy"),
        ("apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {}\nspec: {pipelineReff: {name: a}}", "pipelineReff"),
        ("apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {}\nspec: {timeouts: {tusks: 1h}}", "tusks"),
    ],
)
async def test_a_field_that_the_definition_has_not_is_rejected(
    defined: Cluster, account: Account, text: str, field: str
) -> None:
    template = parse_template(text, account.retraining_namespace)
    async with KubernetesObjectTrigger(template, Kubeconfig(str(defined.kubeconfig))) as trigger:
        with pytest.raises(TriggerRejected, match=rf'unknown field "spec.*{field}"'):
            await trigger.fire(vetted(template))


def test_a_misspelt_word_deep_in_a_workflow_template_is_rejected(defined: Cluster, account: Account) -> None:
    """Which shows that Argo's definitions are those that validate."""
    [manifest] = load_manifests(RETRAINING / ARGO.referred)
    manifest["metadata"]["namespace"] = account.retraining_namespace
    manifest["spec"]["templates"][0]["container"]["securityContext"]["privilegd"] = True
    path = defined.path_of(manifest).rpartition("/")[0]
    with pytest.raises(ApiError, match=r"unknown field .*spec\.templates\[0\]\.container\.securityContext\.privilegd"):
        defined.request("POST", f"{path}?fieldValidation=Strict", manifest)


def test_the_page_says_which_releases_these_are(defined: Cluster, pytestconfig: pytest.Config) -> None:
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        said = ", ".join(f"{module} {version}" for module, version in crds.versions().items())
        reporter.write_line(f"definitions in Kubernetes {defined.version()}: {said}")
    page = (RETRAINING.parents[1] / "docs" / "runs.md").read_text(encoding="utf-8")
    versions = crds.versions()
    assert f"Workflows {versions[crds.ARGO][1:]}, the full ones; Tekton Pipelines {versions[crds.TEKTON][1:]})" in page


def _declared(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    spec = manifest["spec"]
    return list(spec["arguments"]["parameters"] if "arguments" in spec else spec["params"])
