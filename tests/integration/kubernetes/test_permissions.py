"""The shipped Role allows what the trigger needs, and nothing else."""

from collections.abc import Iterator

import pytest

from tests.cluster.api import ApiError, Cluster
from tests.cluster.fixtures import Account, shipped_account

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
OWN = "/apis/batch/v1/namespaces/{retraining}/jobs"


@pytest.fixture(scope="module")
def account(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """One for all: nothing here changes anything."""
    with shipped_account(cluster, tmp_path_factory.mktemp("account")) as made:
        yield made


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/namespaces/{retraining}/secrets/any"),
        ("GET", "/api/v1/namespaces/{service}/secrets/any"),
        ("POST", "/api/v1/namespaces/{retraining}/pods"),
        ("POST", "/api/v1/namespaces/{retraining}/serviceaccounts/default/token"),
        ("GET", "/api/v1/namespaces/{retraining}/configmaps/driftwarden-dataset-trust"),
        ("PATCH", "/api/v1/namespaces/{retraining}/resourcequotas/driftwarden-retraining"),
        ("POST", "/api/v1/namespaces/{retraining}/pods/any/exec"),
        ("GET", "/api/v1/namespaces/{retraining}/pods/any/log"),
        ("DELETE", OWN),
        ("DELETE", OWN + "/any"),
        ("PATCH", OWN + "/any"),
        ("PUT", OWN + "/any"),
        ("PATCH", OWN + "/any/status"),
        ("GET", "/apis/batch/v1/jobs"),
        ("POST", "/apis/batch/v1/namespaces/{retraining}/cronjobs"),
        ("PATCH", POLICIES + "/driftwarden-retraining"),
        ("DELETE", POLICIES + "/driftwarden-retraining"),
        ("POST", "/apis/batch/v1/namespaces/{service}/jobs"),
        ("POST", "/apis/batch/v1/namespaces/default/jobs"),
        ("GET", "/apis/batch/v1/namespaces/kube-system/jobs/any"),
    ],
)
def test_everything_else_is_forbidden(account: Account, method: str, path: str) -> None:
    target = path.format(retraining=account.retraining_namespace, service=account.service_namespace)
    with pytest.raises(ApiError) as refused:
        account.cluster.request(method, target, {} if method in {"POST", "PATCH", "PUT"} else None, token=account.token)
    assert refused.value.status == 403


def test_looking_at_jobs_is_allowed(account: Account) -> None:
    own = OWN.format(retraining=account.retraining_namespace)
    assert account.cluster.request("GET", own, token=account.token)["items"] == []
    with pytest.raises(ApiError) as refused:
        account.cluster.request("GET", f"{own}/any", token=account.token)
    assert refused.value.status == 404  # allowed, and not there


def test_the_api_server_itself_lists_four_verbs_on_one_resource(account: Account) -> None:
    review = account.cluster.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": account.retraining_namespace},
        },
        token=account.token,
    )
    asking_about_oneself = {"authorization.k8s.io", "authentication.k8s.io"}  # what every account may do
    rules = [rule for rule in review["status"]["resourceRules"] if not asking_about_oneself & set(rule["apiGroups"])]
    assert [(rule["apiGroups"], rule["resources"], sorted(rule["verbs"])) for rule in rules] == [
        (["batch"], ["jobs"], ["create", "get", "list", "watch"])
    ]
