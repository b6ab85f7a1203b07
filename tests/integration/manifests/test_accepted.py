"""A real API server takes everything, and admits the Pods that would be made of it."""

import copy
import secrets
from collections.abc import Iterator

import pytest

from service.adapters.trigger.manifest import render
from service.adapters.trigger.template import parse_template
from tests.cluster.api import ApiError, Cluster
from tests.cluster.shipped import moved, outside_of_namespaces
from tests.integration.manifests.kustomize import Manifest
from tests.integration.manifests.objects import one, pod_templates
from tests.processes.waiting import eventually
from tests.unit.service.adapters.trigger.requests import order, retrain_request


@pytest.fixture(scope="module", params=["documented", "split"])
def applied(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[list[Manifest]]:
    """Everything, in namespaces of this test's own."""
    documented: list[Manifest] = request.getfixturevalue(request.param)
    suffix = secrets.token_hex(4)
    renamed = {name: f"{name}-test-{suffix}" for name in ("driftwarden", "driftwarden-retraining")}
    manifests = [moved(manifest, renamed) for manifest in documented]
    try:
        cluster.apply(manifests)
        # A Pod without an account of its own needs the `default` one, which a controller makes a moment later.
        accounts = f"/api/v1/namespaces/{renamed['driftwarden']}/serviceaccounts"
        shipped = sum(manifest["kind"] == "ServiceAccount" for manifest in manifests)
        eventually(lambda: len(cluster.items(accounts)) == shipped + 1, "the namespace has its default ServiceAccount")
        yield manifests
    finally:
        for manifest in outside_of_namespaces(manifests):
            cluster.request("DELETE", cluster.path_of(manifest))
        for namespace in renamed.values():
            cluster.delete_namespace(namespace)


def _dry_run(cluster: Cluster, namespace: str, name: str, template: Manifest) -> Manifest:
    """Ask whether a Pod of this template would be admitted."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": template["metadata"]["labels"]}}
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict"
    return cluster.request("POST", path, {**pod, "spec": template["spec"]})


def _namespace(applied: list[Manifest], kind: str) -> str:
    return str(next(manifest["metadata"]["namespace"] for manifest in applied if manifest["kind"] == kind))


def test_the_server_holds_every_object_as_written(cluster: Cluster, applied: list[Manifest]) -> None:
    for manifest in applied:
        held = cluster.request("GET", cluster.path_of(manifest))
        assert held["metadata"]["name"] == manifest["metadata"]["name"]


def test_the_server_knows_every_field(cluster: Cluster, applied: list[Manifest]) -> None:
    for manifest in applied:
        strictly = "fieldManager=driftwarden-tests&force=true&dryRun=All&fieldValidation=Strict"
        cluster.request("PATCH", f"{cluster.path_of(manifest)}?{strictly}", manifest)


def test_its_pods_are_admitted_where_the_restricted_level_is_enforced(
    cluster: Cluster, applied: list[Manifest]
) -> None:
    namespace = _namespace(applied, "Deployment")
    for name, template in pod_templates(applied):
        assert _dry_run(cluster, namespace, f"{name}-0", template)["metadata"]["namespace"] == namespace


def test_a_pod_with_a_capability_is_refused_there(cluster: Cluster, applied: list[Manifest]) -> None:
    name, template = next(pod_templates(applied))
    bolder = copy.deepcopy(template)
    bolder["spec"]["containers"][0]["securityContext"]["capabilities"] = {"add": ["NET_ADMIN"]}
    with pytest.raises(ApiError) as refused:
        _dry_run(cluster, _namespace(applied, "Deployment"), f"{name}-0", bolder)
    assert refused.value.status == 403


def test_the_account_may_create_the_job_of_the_readme_and_none_of_another_image(
    cluster: Cluster, applied: list[Manifest]
) -> None:
    namespace = _namespace(applied, "RoleBinding")
    token = cluster.service_account_token(_namespace(applied, "ServiceAccount"), "driftwarden")
    text = one(applied, "ConfigMap", "driftwarden-retraining-template")["data"]["job.yaml"]
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs?dryRun=All&fieldValidation=Strict"

    def refusal(text: str) -> str:
        try:
            cluster.request(
                "POST", path, render(parse_template(text, namespace), order(retrain_request())), token=token
            )
        except ApiError as error:
            return str(error)
        return ""

    other = text.replace("your-team/retraining@", "somebody-else/retraining@")
    eventually(lambda: "denied request: images: " in refusal(other), "the policy holds")
    assert refusal(text) == ""


JOBS = {"group": "batch", "resource": "jobs"}
TOKEN_REVIEWS = {"group": "authentication.k8s.io", "resource": "tokenreviews"}


def test_the_accounts_of_its_pods_may_do_their_work_and_nothing_else(cluster: Cluster, applied: list[Manifest]) -> None:
    deployments = {each["metadata"]["name"]: each for each in applied if each["kind"] == "Deployment"}
    everything = len(deployments) == 1
    for name, deployment in deployments.items():
        account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
        user = f"system:serviceaccount:{deployment['metadata']['namespace']}:{account}"
        judges, ingests = everything or name.endswith("worker"), everything or not name.endswith("worker")
        retraining = {**JOBS, "namespace": _namespace(applied, "RoleBinding")}
        assert _allowed(cluster, user, {**retraining, "verb": "create"}) is judges
        assert _allowed(cluster, user, {**TOKEN_REVIEWS, "verb": "create"}) is ingests
        assert not _allowed(cluster, user, {**retraining, "verb": "delete"})
        assert not _allowed(cluster, user, {**TOKEN_REVIEWS, "verb": "list"})


def _allowed(cluster: Cluster, user: str, asked: dict[str, str]) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": asked},
    }
    answer = cluster.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])
