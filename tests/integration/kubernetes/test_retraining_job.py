"""The retraining Job in a real Kubernetes API."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.adapters.kubernetes_credentials import Kubeconfig
from service.adapters.trigger.kubernetes_object import KubernetesObjectTrigger
from service.adapters.trigger.manifest import identity_labels
from service.adapters.trigger.template import Template, parse_template
from service.domain.errors import TriggerRejected, TriggerUnavailable
from service.domain.models import TriggerOutcome, model_name
from tests.cluster.api import ApiError, Cluster, wait_until
from tests.cluster.fixtures import Account
from tests.unit.service.adapters.trigger.requests import order, retrain_request

pytestmark = pytest.mark.anyio

REQUEST = retrain_request()


async def test_the_job_is_created_by_an_account_that_holds_only_the_shipped_role(
    trigger: KubernetesObjectTrigger, account: Account
) -> None:
    receipt = await trigger.fire(order(REQUEST))
    assert receipt.outcome is TriggerOutcome.CREATED
    [job] = account.jobs()
    assert job["metadata"]["name"] == REQUEST.name
    assert job["metadata"]["labels"]["driftwarden.dev/model"] == "churn"
    assert job["metadata"]["annotations"]["driftwarden.dev/reference-digest"] == REQUEST.reference_digest
    assert job["spec"]["ttlSecondsAfterFinished"] == 604800


async def test_the_job_controller_makes_its_pod_under_the_restricted_pod_security_level(
    trigger: KubernetesObjectTrigger, account: Account
) -> None:
    await trigger.fire(order(REQUEST))
    await asyncio.to_thread(wait_until, lambda: bool(account.pods()), "the Job has its Pod", timeout_s=60)
    [pod] = account.pods()
    assert pod["metadata"]["ownerReferences"][0]["name"] == REQUEST.name
    environment = {entry["name"]: entry.get("value", "") for entry in pod["spec"]["containers"][0]["env"]}
    assert environment["DRIFTWARDEN_VERDICT"] == "7"
    assert environment["TRACEPARENT"] == REQUEST.traceparent


async def test_created_twice_it_is_one_job(trigger: KubernetesObjectTrigger, account: Account) -> None:
    outcomes = [(await trigger.fire(order(REQUEST))).outcome for _ in range(2)]
    assert outcomes == [TriggerOutcome.CREATED, TriggerOutcome.ALREADY_EXISTS]
    assert len(account.jobs()) == 1


async def test_three_triggers_firing_at_once_make_one_job(account: Account, template: Template) -> None:
    triggers = [KubernetesObjectTrigger(template, Kubeconfig(str(account.kubeconfig))) for _ in range(3)]
    try:
        await asyncio.gather(*(trigger.open() for trigger in triggers))
        receipts = await asyncio.gather(*(trigger.fire(order(REQUEST)) for trigger in triggers))
    finally:
        await asyncio.gather(*(trigger.aclose() for trigger in triggers))
    assert sorted(receipt.outcome for receipt in receipts) == ["ALREADY_EXISTS", "ALREADY_EXISTS", "CREATED"]
    assert len(account.jobs()) == 1


async def test_what_was_permitted_with_another_template_is_not_started_but_found_where_it_was(
    trigger: KubernetesObjectTrigger, account: Account, template: Template
) -> None:
    changed = replace(template, digest="0" * 64)
    async with KubernetesObjectTrigger(changed, Kubeconfig(str(account.kubeconfig))) as by_now:
        with pytest.raises(TriggerRejected, match=r"the template is sha256:0{64} now, and sha256:.* was permitted"):
            await by_now.fire(order(REQUEST))
        assert account.jobs() == []
        made = await trigger.fire(order(REQUEST))
        found = await by_now.fire(order(REQUEST))
    assert (found.outcome, found.uid, found.manifest_digest) == (TriggerOutcome.ALREADY_EXISTS, made.uid, "")


@pytest.mark.parametrize("change", [{"dataset_digest": "sha256:" + "d" * 64}, {"dataset_version": 8}], ids=str)
async def test_a_job_that_was_made_from_something_else_is_not_taken_for_what_was_permitted(
    trigger: KubernetesObjectTrigger, account: Account, change: dict[str, Any]
) -> None:
    """As after a restored store decides anew: the record would say what the Job never saw."""
    await trigger.fire(order(REQUEST))
    permitted = order(REQUEST)
    with pytest.raises(TriggerRejected, match="was made from something else than what was permitted"):
        await trigger.fire(replace(permitted, evidence=replace(permitted.evidence, **change)))
    assert len(account.jobs()) == 1


async def test_a_job_of_an_earlier_release_is_found(
    trigger: KubernetesObjectTrigger, account: Account, template: Template
) -> None:
    """Which has made it for the same verdict, and was updated before it had written that down."""
    of_it = {name: value for name, value in template.document.items() if name != "metadata"}
    labels = identity_labels(REQUEST)
    annotations = {"driftwarden.dev/reference-digest": REQUEST.reference_digest}
    metadata = {"name": REQUEST.name, "labels": labels, "annotations": annotations}
    account.cluster.apply([{**of_it, "metadata": metadata}], account.retraining_namespace)
    assert (await trigger.fire(order(REQUEST))).outcome is TriggerOutcome.ALREADY_EXISTS


async def test_a_job_that_fills_the_quota_is_found_and_is_not_waited_for(
    trigger: KubernetesObjectTrigger, account: Account
) -> None:
    """The answer to its creation was lost: once it is over and cleared away, there would be room for a second one."""
    namespace, metadata = account.retraining_namespace, {"name": "one"}
    hard = {"count/jobs.batch": "1"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}
    account.cluster.apply([quota], namespace)
    path = f"/api/v1/namespaces/{namespace}/resourcequotas/one"

    def counts() -> bool:
        return account.cluster.request("GET", path).get("status", {}).get("hard") == hard

    await asyncio.to_thread(wait_until, counts, "the quota counts", timeout_s=60)
    made = await trigger.fire(order(REQUEST))
    with pytest.raises(TriggerUnavailable, match="exceeded quota"):
        await trigger.fire(order(retrain_request(name="another")))
    found = await trigger.fire(order(REQUEST))
    assert (made.outcome, found.outcome, found.uid) == ("CREATED", "ALREADY_EXISTS", made.uid)


@pytest.mark.parametrize(
    "labels", [{}, {"app.kubernetes.io/managed-by": "driftwarden", "driftwarden.dev/model": "churn"}]
)
async def test_a_name_taken_by_somebody_else_is_not_taken_for_success(
    trigger: KubernetesObjectTrigger, account: Account, template: Template, labels: dict[str, str]
) -> None:
    metadata = {"name": REQUEST.name, "labels": labels}
    account.cluster.apply([{**template.document, "metadata": metadata}], account.retraining_namespace)
    with pytest.raises(TriggerRejected, match="exists and was not made for this verdict"):
        await trigger.fire(order(REQUEST))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("template: {spec: {restartPolicy: Always, containers: [{name: a, image: b}]}}", r"\(422\).*restartPolicy"),
        ("template: {spec: {restartPolicy: Never, containers: [{name: a, immage: b}]}}", r"\(400\).*immage"),
        ("parallelism: many", r"\(400\).*parallelism"),
    ],
)
async def test_a_template_that_the_api_refuses_is_rejected_with_its_reason(
    account: Account, spec: str, message: str
) -> None:
    text = f"apiVersion: batch/v1\nkind: Job\nmetadata: {{}}\nspec: {{{spec}}}"
    template = parse_template(text, account.retraining_namespace)
    async with KubernetesObjectTrigger(template, Kubeconfig(str(account.kubeconfig))) as trigger:
        with pytest.raises(TriggerRejected, match=message):
            await trigger.fire(order(REQUEST, template))
    assert account.jobs() == []


async def test_an_account_without_the_role_is_unavailable_because_somebody_may_still_grant_it(
    account: Account, template: Template, tmp_path: Path
) -> None:
    other = account.cluster.service_account_kubeconfig(account.retraining_namespace, "default", tmp_path / "other")
    async with KubernetesObjectTrigger(template, Kubeconfig(str(other))) as trigger:
        with pytest.raises(TriggerUnavailable, match=r"\(403\).*cannot create resource"):
            await trigger.fire(order(REQUEST))


async def test_a_namespace_that_is_not_there_yet_is_unavailable(cluster: Cluster) -> None:
    template = parse_template(MINIMAL_JOB, "driftwarden-no-such-namespace")
    async with KubernetesObjectTrigger(template, Kubeconfig(str(cluster.kubeconfig))) as trigger:
        with pytest.raises(TriggerUnavailable, match=r"\(404\).*namespaces"):
            await trigger.fire(order(REQUEST, template))


@pytest.mark.parametrize("api_version", ["batch/v1", "driftwarden.example/v1", "v1"])
async def test_a_kind_that_the_api_does_not_know_yet_is_unavailable(cluster: Cluster, api_version: str) -> None:
    template = parse_template(f"apiVersion: {api_version}\nkind: Workflow\nmetadata: {{}}", "default")
    async with KubernetesObjectTrigger(template, Kubeconfig(str(cluster.kubeconfig))) as trigger:
        with pytest.raises(TriggerUnavailable, match=r"Workflow in|look up driftwarden\.example"):
            await trigger.fire(order(REQUEST, template))


async def test_a_kind_without_namespaces_is_rejected(cluster: Cluster) -> None:
    template = parse_template("apiVersion: v1\nkind: Namespace\nmetadata: {}", "default")
    async with KubernetesObjectTrigger(template, Kubeconfig(str(cluster.kubeconfig))) as trigger:
        with pytest.raises(TriggerRejected, match="is not a namespaced kind"):
            await trigger.fire(order(REQUEST, template))


async def test_each_models_runs_are_made_from_what_is_named_for_it(account: Account) -> None:
    own, all_others = (
        parse_template(MINIMAL_JOB.replace("{}", f"{{labels: {{team: {team}}}}}", 1), account.retraining_namespace)
        for team in ("pricing", "any")
    )
    credentials = Kubeconfig(str(account.kubeconfig))
    of_fraud = retrain_request(name="retrain-fraud-1-x", model=model_name("fraud"))
    async with KubernetesObjectTrigger({"churn": own, "*": all_others}, credentials) as trigger:
        await trigger.fire(order(REQUEST, own))
        await trigger.fire(order(of_fraud, all_others))
    teams = {
        job["metadata"]["labels"]["driftwarden.dev/model"]: job["metadata"]["labels"]["team"] for job in account.jobs()
    }
    assert teams == {"churn": "pricing", "fraud": "any"}
    async with KubernetesObjectTrigger({"churn": own}, credentials) as trigger:
        with pytest.raises(TriggerRejected, match="nothing is named that runs of this model are made from"):
            await trigger.fire(order(of_fraud, own))


async def test_another_kind_of_run_is_started_by_another_template_alone(account: Account) -> None:
    account.cluster.apply([TRAINING_RUNS])
    path = f"/apis/tests.driftwarden.dev/v1/namespaces/{account.retraining_namespace}/training-galore"
    await asyncio.to_thread(wait_until, lambda: serves(account.cluster, path), "the new kind is served", timeout_s=60)
    text = "apiVersion: tests.driftwarden.dev/v1\nkind: TrainingRun\nmetadata: {}\nspec: {pipeline: full}"
    template = parse_template(text, account.retraining_namespace)
    async with KubernetesObjectTrigger(template, Kubeconfig(str(account.cluster.kubeconfig))) as trigger:
        outcomes = [(await trigger.fire(order(REQUEST, template))).outcome for _ in range(2)]
    assert outcomes == [TriggerOutcome.CREATED, TriggerOutcome.ALREADY_EXISTS]
    [run] = account.cluster.items(path)
    assert (run["metadata"]["name"], run["spec"]) == (REQUEST.name, {"pipeline": "full"})
    account.cluster.request("DELETE", account.cluster.path_of(TRAINING_RUNS))


def serves(cluster: Cluster, path: str) -> bool:
    try:
        return cluster.items(path) == []
    except ApiError:
        return False


MINIMAL_JOB = """
apiVersion: batch/v1
kind: Job
metadata: {}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: train, image: example}]}}}
"""
TRAINING_RUNS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "training-galore.tests.driftwarden.dev"},
    "spec": {
        "group": "tests.driftwarden.dev",
        "scope": "Namespaced",
        "names": {"kind": "TrainingRun", "plural": "training-galore"},  # a plural that cannot be guessed from the kind
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
