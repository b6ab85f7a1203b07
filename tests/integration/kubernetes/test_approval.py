"""With the component `approval` the service lets a suspended Job go on, and changes nothing else of any Job."""

import secrets
from collections.abc import Iterator

import pytest

from service.adapters.trigger.manifest import APPROVAL
from tests.cluster.api import ApiError, Cluster
from tests.cluster.fixtures import Account
from tests.cluster.shipped import component
from tests.integration.kubernetes.guarded import Job, changed, collection, guarded_account, shipped_job
from tests.processes.waiting import eventually

GO_ON: Job = {"spec": {"suspend": False}}


@pytest.fixture(scope="module")
def approving(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with guarded_account(cluster, tmp_path_factory.mktemp("approving"), *component("approval")) as account:
        job = create(account, suspend=True)
        eventually(lambda: "release: " in refusal(account, job, {"spec": {"backoffLimit": 1}}), "the policy holds")
        yield account


@pytest.fixture
def suspended(approving: Account) -> str:
    return create(approving, suspend=True)


def create(account: Account, *, suspend: bool, as_administrator: bool = False, change: Job | None = None) -> str:
    """Of the shipped template; its path."""
    metadata: Job = {"name": f"retrain-churn-7-{secrets.token_hex(5)}"}
    if suspend:
        metadata |= {"annotations": {APPROVAL: "manual"}}
    job = changed(changed(shipped_job(account), {"metadata": metadata, "spec": {"suspend": suspend}}), change or {})
    path = collection(account.retraining_namespace)
    account.cluster.request("POST", path, job, token=None if as_administrator else account.token)
    return f"{path}/{job['metadata']['name']}"


def refusal(account: Account, path: str, patch: Job) -> str:
    """Why the API would not let the account do so; empty: it would."""
    try:
        account.cluster.request("PATCH", f"{path}?dryRun=All", patch, token=account.token, patch="merge-patch+json")
    except ApiError as error:
        return str(error)
    return ""


def test_a_suspended_job_goes_on(approving: Account, suspended: str) -> None:
    approving.cluster.request("PATCH", suspended, GO_ON, token=approving.token, patch="merge-patch+json")
    assert approving.cluster.request("GET", suspended)["spec"]["suspend"] is False
    name = suspended.rpartition("/")[2]
    eventually(lambda: name in {pod["metadata"]["labels"]["job-name"] for pod in approving.pods()}, "it has its Pod")


TEMPLATE = {"template": {"spec": {"nodeSelector": {"gpu": "yes"}}}}  # what may be changed in a suspended Job


@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {**GO_ON["spec"], **TEMPLATE}},
        {"spec": {**GO_ON["spec"], "parallelism": 0}},
        {"spec": {**GO_ON["spec"], "activeDeadlineSeconds": 60}},
        {"spec": {**GO_ON["spec"], "activeDeadlineSeconds": 86400}},
        {"spec": {**GO_ON["spec"], "ttlSecondsAfterFinished": 1}},
        {**GO_ON, "metadata": {"labels": {"driftwarden.dev/model": "fraud"}}},
        {**GO_ON, "metadata": {"annotations": {"driftwarden.dev/reference-digest": None}}},
        {**GO_ON, "metadata": {"finalizers": ["tests.driftwarden.dev/for-ever"]}},
        {**GO_ON, "metadata": {"ownerReferences": None, "annotations": None}},
    ],
    ids=str,
)
def test_nothing_else_changes_with_it(approving: Account, suspended: str, patch: Job) -> None:
    assert "denied request: release: nothing else" in refusal(approving, suspended, patch)


@pytest.mark.parametrize(
    "patch", [{"spec": TEMPLATE}, {"spec": {"suspend": True}}, {"metadata": {"annotations": {"a": "b"}}}], ids=str
)
def test_a_job_that_stays_suspended_is_not_changed(approving: Account, suspended: str, patch: Job) -> None:
    assert "release: the run must be one that waits, and go on" in refusal(approving, suspended, patch)


def test_a_running_job_is_not_suspended(approving: Account) -> None:
    running = create(approving, suspend=False)
    assert "release: the run must be one that waits, and go on" in refusal(
        approving, running, {"spec": {"suspend": True}}
    )


def test_a_job_that_somebody_else_made_is_not_released(approving: Account) -> None:
    theirs = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}
    path = create(approving, suspend=True, as_administrator=True, change=theirs)
    assert "denied request: " in refusal(approving, path, GO_ON)  # by either policy


def test_a_job_that_a_queue_or_an_administrator_holds_is_not_released(approving: Account) -> None:
    path = create(approving, suspend=True, change={"metadata": {"annotations": {APPROVAL: None}}})
    assert "denied request: release: the run must be one that Driftwarden made, and made wait" in refusal(
        approving, path, GO_ON
    )


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_nothing_is_replaced_or_deleted(approving: Account, suspended: str, method: str) -> None:
    with pytest.raises(ApiError) as refused:
        approving.cluster.request(method, suspended, {}, token=approving.token)
    assert refused.value.status == 403


def test_its_status_is_not_the_services_to_write(approving: Account, suspended: str) -> None:
    with pytest.raises(ApiError) as refused:
        approving.cluster.request(
            "PATCH", f"{suspended}/status", {"status": {}}, token=approving.token, patch="merge-patch+json"
        )
    assert refused.value.status == 403


def test_the_api_server_finds_nothing_wrong_with_the_types_of_the_policies(approving: Account) -> None:
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    ours = [each for each in approving.cluster.items(path) if approving.service_namespace in each["metadata"]["name"]]
    assert len(ours) == 2
    for policy in ours:
        checked = eventually(
            lambda policy=policy: approving.cluster.request("GET", f"{path}/{policy['metadata']['name']}").get(
                "status"
            ),
            "the types are checked",
        )
        assert checked["typeChecking"].get("expressionWarnings", []) == []
