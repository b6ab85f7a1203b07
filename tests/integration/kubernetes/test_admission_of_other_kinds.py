"""What the API server lets the service start where Argo Workflows or Tekton run the trainings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from service.adapters.trigger.manifest import render
from service.adapters.trigger.template import read_template
from tests.cluster.api import ApiError, Cluster
from tests.cluster.fixtures import Account, shipped_account
from tests.cluster.shipped import component
from tests.integration.kubernetes.guarded import Job, changed, collection, refusal, shipped_job
from tests.integration.kubernetes.test_other_kinds import ARGO, RETRAINING, TEKTON, Kind
from tests.processes.waiting import eventually
from tests.unit.service.adapters.trigger.requests import order, retrain_request

FOREIGN = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}
INLINE = {"templates": [{"name": "a", "container": {"image": "evil.example/a"}}]}


@dataclass(frozen=True, slots=True)
class Guarded:
    """An account behind one kind's component, and `approval`."""

    account: Account
    kind: Kind

    @property
    def path(self) -> str:
        return self.kind.collection.format(namespace=self.account.retraining_namespace)

    def run(self, *, suspended: bool = False) -> Job:
        """What the trigger would create of the shipped template."""
        template = read_template(RETRAINING / self.kind.template, self.account.retraining_namespace)
        return render(template, order(retrain_request(), suspended=suspended))

    def refusal(self, change: Job) -> str:
        return refusal(self.account, changed(self.run(), change), self.path)


def _guarded(name: str, kind: Kind) -> Callable[..., Iterator[Guarded]]:
    def fixture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
        cluster: Cluster = request.getfixturevalue("defined")
        files = (*component(name), *component("approval"))
        with shipped_account(cluster, tmp_path_factory.mktemp(name), *files) as account:
            made = Guarded(account, kind)
            eventually(lambda: "denied request: name and labels" in made.refusal(FOREIGN), "the policy holds")
            yield made

    return fixture


argo = pytest.fixture(scope="module")(_guarded("argo_workflow", ARGO))
tekton = pytest.fixture(scope="module")(_guarded("tekton_pipelinerun", TEKTON))


def spec(**change: object) -> Job:
    return {"spec": change}


def pods(**change: object) -> Job:
    return spec(taskRunTemplate={"podTemplate": change})


OF_BOTH = {
    "made by somebody else": (FOREIGN, "name and labels"),
    "another name": ({"metadata": {"name": "nightly-backup"}}, "name and labels"),
    "somebody else's label": ({"metadata": {"labels": {"argocd.argoproj.io/instance": "shop"}}}, "labels"),
}
OF_ARGO = {
    "steps of its own": (spec(entrypoint="a", **INLINE), "contents"),
    "a patch of its Pods": (spec(podSpecPatch='{"hostNetwork": true}'), "contents"),
    "volumes of its own": (spec(volumes=[{"name": "a", "secret": {"secretName": "registry"}}]), "contents"),
    "another account": (spec(serviceAccountName="deployer"), "contents"),
    "something at its end": (spec(hooks={"exit": {"template": "a"}}), "contents"),
    "another template": (spec(workflowTemplateRef={"name": "deploy"}), "the template"),
    "a template of the cluster": (spec(workflowTemplateRef={"clusterScope": True}), "the template"),
    "no template": (spec(workflowTemplateRef=None), "the template"),
    "a file as an argument": (
        spec(arguments={"artifacts": [{"name": "a", "raw": {"data": "a"}}]}),
        "arguments",
    ),
    "somebody else's ConfigMap as an argument": (
        spec(arguments={"parameters": {"value": None, "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}}),
        "arguments",
    ),
    "no deadline": (spec(activeDeadlineSeconds=None), "bounds"),
    "a deadline of years": (spec(activeDeadlineSeconds=10**8), "bounds"),
    "kept for ever": (spec(ttlStrategy=None), "bounds"),
}
OF_TEKTON = {
    "an annotation that attaches a network": (
        {"metadata": {"annotations": {"k8s.v1.cni.cncf.io/networks": "storage"}}},
        "annotations",
    ),
    "tasks of its own": (spec(pipelineRef=None, pipelineSpec={"tasks": []}), "contents"),
    "steps of its own": (spec(taskRunSpecs=[{"pipelineTaskName": "retraining"}]), "contents"),
    "the node's network": (pods(hostNetwork=True), "contents"),
    "a volume of a Secret": (pods(volumes=[{"name": "a", "secret": {"secretName": "registry"}}]), "contents"),
    "another pipeline": (spec(pipelineRef={"name": "deploy"}), "the pipeline"),
    "a pipeline from elsewhere": (spec(pipelineRef={"resolver": "git"}), "the pipeline"),
    "another account": (spec(taskRunTemplate={"serviceAccountName": "deployer"}), "the ServiceAccount"),
    "a token": (pods(automountServiceAccountToken=True), "the ServiceAccount"),
    "root": (pods(securityContext={"runAsNonRoot": False}), "privileges"),
    "somebody else's claim": (spec(workspaces={"persistentVolumeClaim": {"claimName": "theirs"}}), "workspaces"),
    "a Secret": (spec(workspaces=[{"name": "trust", "secret": {"secretName": "registry"}}]), "workspaces"),
    "a Secret beside an empty folder": (
        spec(workspaces=[{"name": "trust", "emptyDir": {}, "secret": {"secretName": "registry"}}]),
        "workspaces",
    ),
    "a token beside an empty folder": (
        spec(
            workspaces=[
                {"name": "t", "emptyDir": {}, "projected": {"sources": [{"serviceAccountToken": {"path": "a"}}]}}
            ]
        ),
        "workspaces",
    ),
    "no time-out": (spec(timeouts=None), "bounds"),
    "a time-out of never": (spec(timeouts={"pipeline": "0"}), "bounds"),
    "a time-out of weeks": (spec(timeouts={"pipeline": "1000h"}), "bounds"),
}
CASES = [
    *(pytest.param("argo", *case, id=f"argo: {name}") for name, case in (OF_BOTH | OF_ARGO).items()),
    *(pytest.param("tekton", *case, id=f"tekton: {name}") for name, case in (OF_BOTH | OF_TEKTON).items()),
]


@pytest.mark.parametrize(("kind", "change", "rule"), CASES)
def test_the_policy_refuses_by_the_rule_that_is_meant(
    request: pytest.FixtureRequest, kind: str, change: Job, rule: str
) -> None:
    guarded: Guarded = request.getfixturevalue(kind)
    assert f"denied request: {rule}: " in guarded.refusal(change)


@pytest.mark.parametrize("kind", ["argo", "tekton"])
def test_the_shipped_template_is_accepted(request: pytest.FixtureRequest, kind: str) -> None:
    assert request.getfixturevalue(kind).refusal({}) == ""


@pytest.mark.parametrize("kind", ["argo", "tekton"])
def test_jobs_are_not_the_services_any_more(request: pytest.FixtureRequest, kind: str) -> None:
    account = request.getfixturevalue(kind).account
    assert "cannot create resource" in refusal(account, shipped_job(account))
    with pytest.raises(ApiError) as refused:
        account.cluster.request("GET", collection(account.retraining_namespace), token=account.token)
    assert refused.value.status == 403


@pytest.mark.parametrize(
    ("kind", "go_on", "more", "noted"),
    [
        ("argo", {"suspend": None}, {"activeDeadlineSeconds": 60}, "workflows.argoproj.io/phase"),
        ("tekton", {"status": None}, {"timeouts": {"pipeline": "1h"}}, "tekton.dev/pipeline"),
    ],
)
def test_one_that_waits_may_be_let_go_on_and_nothing_else(
    request: pytest.FixtureRequest, kind: str, go_on: Job, more: Job, noted: str
) -> None:
    guarded: Guarded = request.getfixturevalue(kind)
    account, run = guarded.account, guarded.run(suspended=True)
    account.cluster.request("POST", guarded.path, run, token=account.token)
    path = f"{guarded.path}/{run['metadata']['name']}"
    notes = {"metadata": {"labels": {noted: "a"}, "annotations": {noted: "a"}}}  # by its controller, while it waits
    account.cluster.request("PATCH", path, notes, patch="merge-patch+json")
    patch = partial(account.cluster.request, "PATCH", path, token=account.token, patch="merge-patch+json")

    def refusal_of(change: Job) -> str:
        try:
            patch({"spec": change})
        except ApiError as error:
            return str(error)
        return ""

    eventually(lambda: "denied request: release: the run" in refusal_of(more), "the policy of releases holds")
    assert "denied request: release: nothing else" in refusal_of({**go_on, **more})
    assert refusal_of(go_on) == ""
    assert "denied request: release: the run must be one that waits" in refusal_of(go_on)
