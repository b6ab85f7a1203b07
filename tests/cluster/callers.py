"""Callers of the service: ServiceAccounts, bound to the shipped Roles or to one of a test's."""

from dataclasses import dataclass

from tests.cluster.api import Cluster
from tests.cluster.fixtures import Account

AUDIENCE = "driftwarden"
_RBAC = {"apiGroup": "rbac.authorization.k8s.io"}


@dataclass(frozen=True, slots=True)
class CallersOf:
    """Makes callers for the service whose account this is; they live in its namespace."""

    account: Account

    @property
    def cluster(self) -> Cluster:
        return self.account.cluster

    @property
    def namespace(self) -> str:
        return self.account.service_namespace

    def create(self, name: str, *roles: str) -> None:
        """A ServiceAccount, bound to Roles of the service's namespace."""
        made = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": self.namespace}}
        self.cluster.apply([made])
        for role in roles:
            self.bind(name, role)

    def bind(self, name: str, role: str) -> None:
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": f"{name}-{role}", "namespace": self.namespace},
            "roleRef": {**_RBAC, "kind": "Role", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.namespace}],
        }
        self.cluster.apply([binding])

    def role(self, name: str, verb: str, model: str) -> None:
        """A Role for one model."""
        rule = {"apiGroups": ["driftwarden.dev"], "resources": ["models"], "resourceNames": [model], "verbs": [verb]}
        metadata = {"name": name, "namespace": self.namespace}
        self.cluster.apply(
            [{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": [rule]}]
        )

    def token(self, name: str, audience: str | None = AUDIENCE) -> str:
        return self.cluster.service_account_token(self.namespace, name, audience)

    def delete(self, name: str) -> None:
        self.cluster.request("DELETE", f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{name}")
