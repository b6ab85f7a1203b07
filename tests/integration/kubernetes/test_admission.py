"""What the API server lets the service start: the shipped Job, and nothing beside it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster.api import Cluster, load_manifests
from tests.cluster.fixtures import Account
from tests.cluster.shipped import BASE, moved
from tests.integration.kubernetes.guarded import Job, changed, collection, guarded_account, refusal, shipped_job
from tests.processes.waiting import eventually

DIGEST = "@sha256:" + "0" * 64
DATASET = "--payload-digest=$(DRIFTWARDEN_DATASET_DIGEST)"
TRAINING = f"registry.example.com/replace-me/retraining{DIGEST}"
PLAIN = {"name": "beside", "image": TRAINING, "securityContext": {"allowPrivilegeEscalation": False}}


@pytest.fixture(scope="module")
def guarded(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with guarded_account(cluster, tmp_path_factory.mktemp("guarded")) as account:
        yield account


@pytest.fixture
def job(guarded: Account) -> Job:
    return shipped_job(guarded)


def spec(**change: object) -> Job:
    return {"spec": change}


def pod(**change: object) -> Job:
    return spec(template={"spec": change})


def container(**change: object) -> Job:
    return pod(containers=change)


def verifier(**change: object) -> Job:
    return pod(initContainers=change)


def volume(**source: object) -> Job:
    return pod(
        volumes=[{"name": "datasets", "emptyDir": {}}, {"name": "trust", **source}, {"name": "scratch", "emptyDir": {}}]
    )


def variable(**source: object) -> Job:
    return container(env=[{"name": "KEY", "valueFrom": source}])


REFUSED = {
    # what of part D of the research is about Jobs, and its like
    "a volume of a Secret": (volume(secret={"secretName": "registry"}), "volumes"),
    "a path of the node": (volume(hostPath={"path": "/"}), "volumes"),
    "a token as a volume": (volume(projected={"sources": [{"serviceAccountToken": {"path": "token"}}]}), "volumes"),
    "somebody else's claim": (volume(persistentVolumeClaim={"claimName": "theirs"}), "volumes"),
    "somebody else's ConfigMap": (volume(configMap={"name": "theirs"}), "volumes"),
    "an image by its tag": (container(image="registry.example.com/replace-me/retraining:1.0"), "images"),
    "an image by a tag and a digest that is none": (container(image=TRAINING[:-1]), "images"),
    "another repository's image": (container(image=f"registry.example.com/replace-me/other{DIGEST}"), "images"),
    "a repository that begins alike": (
        container(image=f"registry.example.com/replace-me/retraining-too{DIGEST}"),
        "images",
    ),
    "another verifier": (verifier(image=TRAINING), "images"),
    "no verifier": (pod(initContainers=None), "containers"),
    "a verifier that does not verify": (verifier(args=["version", DATASET]), "the verifier"),
    "a verifier of any dataset": (verifier(args=["verify", "/datasets/current"]), "the verifier"),
    "a verifier of one digest and then another": (
        verifier(args=["verify", "/datasets/current", DATASET, f"--payload-digest=sha256:{'0' * 64}"]),
        "the verifier",
    ),
    "a verifier that only says how": (verifier(args=["verify", DATASET, "--help"]), "the verifier"),
    "a verifier with modules of its own": (
        verifier(env=[{"name": "PYTHONPATH", "value": "/datasets/current"}]),
        "the verifier",
    ),
    "a verifier with a command": (verifier(command=["true"]), "the verifier"),
    "a verifier that goes on": (verifier(restartPolicy="Always"), "containers"),
    "a second container": (pod(containers=[PLAIN, {**PLAIN, "name": "second"}]), "containers"),
    "500 at a time": (spec(parallelism=500, completions=500), "bounds"),
    "500 one after another": (spec(completions=500), "bounds"),
    "no deadline": (spec(activeDeadlineSeconds=None), "bounds"),
    "a deadline of years": (spec(activeDeadlineSeconds=10**8), "bounds"),
    "repetitions without end": (spec(backoffLimit=2_000_000), "bounds"),
    "kept for ever": (spec(ttlSecondsAfterFinished=None), "bounds"),
    "kept for whoever never comes": ({"metadata": {"finalizers": ["tests.driftwarden.dev/for-ever"]}}, "bounds"),
    "Pods kept for whoever never comes": (
        spec(template={"metadata": {"finalizers": ["tests.driftwarden.dev/for-ever"]}}),
        "bounds",
    ),
    "a year to end in": (pod(terminationGracePeriodSeconds=31_536_000), "bounds"),
    "another controller": (spec(managedBy="kueue.x-k8s.io/multikueue"), "bounds"),
    "another account": (pod(serviceAccountName="deployer"), "the ServiceAccount"),
    "another account by the field's old name": (pod(serviceAccount="deployer"), "the ServiceAccount"),
    "a token": (pod(automountServiceAccountToken=True), "the ServiceAccount"),
    "a token by default": (pod(automountServiceAccountToken=None), "the ServiceAccount"),
    "a variable of a Secret": (variable(secretKeyRef={"name": "registry", "key": "password"}), "environment"),
    "a variable of a ConfigMap": (variable(configMapKeyRef={"name": "theirs", "key": "url"}), "environment"),
    "all variables of a Secret": (container(envFrom=[{"secretRef": {"name": "registry"}}]), "environment"),
    "all variables of a Secret for the verifier": (verifier(envFrom=[{"secretRef": {"name": "r"}}]), "environment"),
    "privileged": (container(securityContext={"privileged": True, "allowPrivilegeEscalation": True}), "privileges"),
    "more privileges than at start": (container(securityContext={"allowPrivilegeEscalation": None}), "privileges"),
    "a capability": (container(securityContext={"capabilities": {"add": ["NET_ADMIN"]}}), "privileges"),
    "root": (pod(securityContext={"runAsNonRoot": None}), "privileges"),
    "root in one container": (container(securityContext={"runAsNonRoot": False}), "privileges"),
    "the node's network": (pod(hostNetwork=True), "the node"),
    "the node's processes": (pod(hostPID=True), "the node"),
    "the node's memory": (pod(hostIPC=True), "the node"),
    "a port of the node": (container(ports=[{"containerPort": 80, "hostPort": 80}]), "the node"),
    "a request by the node": (
        container(livenessProbe={"httpGet": {"host": "169.254.169.254", "path": "/", "port": 80}}),
        "the node",
    ),
    "a connection by the node": (
        container(readinessProbe={"tcpSocket": {"host": "redis.driftwarden", "port": 6379}}),
        "the node",
    ),
    "a request by the node at its end": (
        container(lifecycle={"preStop": {"httpGet": {"host": "10.0.0.1", "path": "/", "port": 80}}}),
        "the node",
    ),
    "a node of its choice": (pod(nodeName="control-plane"), "the node"),
    "before everything else": (pod(priorityClassName="system-node-critical"), "the node"),
    "somebody else's label": ({"metadata": {"labels": {"argocd.argoproj.io/instance": "shop"}}}, "labels"),
    "a label that opens the service": (
        spec(template={"metadata": {"labels": {"driftwarden.dev/client": "true"}}}),
        "labels",
    ),
    "an annotation that attaches a network": (
        spec(template={"metadata": {"annotations": {"k8s.v1.cni.cncf.io/networks": "storage"}}}),
        "annotations",
    ),
    "made by somebody else": ({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}, "name and labels"),
    "no model": ({"metadata": {"labels": {"driftwarden.dev/model": None}}}, "name and labels"),
    "another name": ({"metadata": {"name": "nightly-backup"}}, "name and labels"),
}


@pytest.mark.parametrize(("change", "rule"), REFUSED.values(), ids=REFUSED)
def test_the_policy_refuses_by_the_rule_that_is_meant(guarded: Account, job: Job, change: Job, rule: str) -> None:
    assert f"denied request: {rule}: " in refusal(guarded, changed(job, change))


def test_the_shipped_job_is_accepted(guarded: Account, job: Job) -> None:
    assert refusal(guarded, job) == ""


def test_a_job_may_look_after_itself(guarded: Account, job: Job) -> None:
    own = {
        "livenessProbe": {"httpGet": {"path": "/", "port": 80}},
        "lifecycle": {"preStop": {"exec": {"command": ["a"]}}},
    }
    assert refusal(guarded, changed(changed(job, container(**own)), pod(terminationGracePeriodSeconds=600))) == ""


def test_a_created_job_gets_its_pod_within_the_quota(guarded: Account, job: Job) -> None:
    created = changed(job, {"metadata": {"name": "retrain-churn-6-0123456789"}})
    guarded.cluster.request("POST", collection(guarded.retraining_namespace), created, token=guarded.token)
    (pod_of_it,) = eventually(guarded.pods, "the Job has its Pod")
    assert [each["name"] for each in pod_of_it["spec"]["initContainers"]] == ["verify-dataset"]
    quota = f"/api/v1/namespaces/{guarded.retraining_namespace}/resourcequotas/driftwarden-retraining"
    used = guarded.cluster.request("GET", quota)["status"]["used"]
    assert (used["count/jobs.batch"], used["pods"]) == ("1", "1")


def test_jobs_beyond_the_quota_are_refused(guarded: Account, job: Job) -> None:
    [quota] = load_manifests(BASE / "retraining_quota.yaml")
    held = guarded.cluster.items(collection(guarded.retraining_namespace))
    quota["spec"]["hard"] = {"count/jobs.batch": str(len(held))}
    del quota["metadata"]["namespace"]
    quota["metadata"]["name"] = "none-further"
    guarded.cluster.apply([quota], guarded.retraining_namespace)
    eventually(lambda: "exceeded quota: none-further" in refusal(guarded, job), "the quota holds")
    guarded.cluster.request("DELETE", guarded.cluster.path_of(quota, guarded.retraining_namespace))
    eventually(lambda: refusal(guarded, job) == "", "the quota is gone")


def test_where_the_account_was_given_too_much_the_policy_still_holds(guarded: Account, job: Job) -> None:
    namespace = guarded.service_namespace
    rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}]
    metadata = {"name": "too-much", "namespace": namespace}
    rbac: Job = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}
    subject = {"kind": "ServiceAccount", "name": "driftwarden", "namespace": namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "too-much"}
    guarded.cluster.apply([{**rbac, "kind": "Role", "rules": rules}])
    guarded.cluster.apply([{**rbac, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]}])
    elsewhere = changed(job, {"metadata": {"namespace": namespace}})
    eventually(lambda: "denied request: namespace: " in refusal(guarded, elsewhere), "the Role holds, and the policy")


def test_what_the_limits_name_is_accepted(guarded: Account, job: Job) -> None:
    named = {
        "secrets": "registry",
        "serviceAccounts": "trainer",
        "furtherLabels": "kueue.x-k8s.io/queue-name",
        "furtherAnnotations": "example.com/team",
    }
    change = changed(variable(secretKeyRef={"name": "registry", "key": "password"}), pod(serviceAccountName="trainer"))
    change = changed(change, spec(template={"metadata": {"annotations": {"example.com/team": "fraud"}}}))
    asking = changed(changed(job, change), {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "gpus"}}})
    with limits_of(guarded, {name: f"['{value}']" for name, value in named.items()}):
        eventually(lambda: refusal(guarded, asking) == "", "the limits hold")
    eventually(lambda: refusal(guarded, asking) != "", "they are as before")


def test_an_image_may_be_named_by_its_digest(guarded: Account, job: Job) -> None:
    with limits_of(guarded, {"images": f"['{TRAINING}']"}):
        other = changed(job, container(image=TRAINING.replace("0", "1")))
        eventually(lambda: "denied request: images: " in refusal(guarded, other), "the limits hold")
        assert refusal(guarded, job) == ""


def test_where_no_verifier_is_named_none_may_be_there(guarded: Account, job: Job) -> None:
    without = changed(job, pod(initContainers=None))
    with limits_of(guarded, {"verifiers": "[]"}):
        eventually(lambda: refusal(guarded, without) == "", "the limits hold")
        assert "denied request: containers: " in refusal(guarded, job)
    eventually(lambda: refusal(guarded, job) == "", "they are as before")


@contextmanager
def limits_of(account: Account, limits: dict[str, str]) -> Iterator[None]:
    """Other limits for a while."""
    renamed = {"driftwarden": account.service_namespace, "driftwarden-retraining": account.retraining_namespace}
    shipped = moved(load_manifests(BASE / "retraining_admission.yaml")[0], renamed)
    variables = [
        {**each, "expression": limits.get(each["name"], each["expression"])} for each in shipped["spec"]["variables"]
    ]
    account.cluster.apply([changed(shipped, {"spec": {"variables": variables}})])
    try:
        yield
    finally:
        account.cluster.apply([shipped])


def test_somebody_else_is_not_bound_by_the_policy(guarded: Account, job: Job) -> None:
    other = changed(job, {"metadata": {"name": "nightly-backup"}})
    guarded.cluster.request("POST", f"{collection(guarded.retraining_namespace)}?dryRun=All", other)
