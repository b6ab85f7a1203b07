"""The Kubernetes API as the target of runs: its paths for their kinds, and its refusals as errors of a trigger."""

from typing import Any

from service.adapters.kubernetes_api import Answer, KubernetesApi, KubernetesUnreachable, group_path, resource_of
from service.adapters.kubernetes_credentials import Credentials
from service.adapters.trigger.run_kind import Objects
from service.domain.errors import TriggerRejected, TriggerUnavailable

# Refusals that somebody can lift without changing the request: credentials, permissions, a namespace or a resource
# definition that is not there yet, a place in a list that is forgotten, load, and faults of the server. Everything else
# will be refused again.
_RETRYABLE = frozenset({401, 403, 404, 408, 409, 410, 425, 429})


class Target(KubernetesApi):
    """Raises `TriggerUnavailable` and `TriggerRejected` where it says so."""

    def __init__(self, credentials: Credentials, *, request_timeout_s: float) -> None:
        super().__init__(credentials, request_timeout_s=request_timeout_s)
        self._plurals: dict[Objects, str] = {}

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """Any status is an answer; raises `TriggerUnavailable`."""
        try:
            return await self.send(method, path, body)
        except KubernetesUnreachable as error:
            raise TriggerUnavailable(str(error)) from error

    async def collection(self, objects: Objects) -> str:
        """Their path; the API is asked for the plural of their kind once. Raises both."""
        version = objects.api_version
        group = group_path(version)
        if objects not in self._plurals:
            answer = await self.ask("GET", group)
            if not answer.ok:
                raise refusal(f"look up {version}", answer)
            self._plurals[objects] = _plural(objects, answer)
        return f"{group}/namespaces/{objects.namespace}/{self._plurals[objects]}"

    def plural(self, objects: Objects) -> str:
        """As `kubectl` calls them, once their path is known."""
        group = objects.api_version.rpartition("/")[0]
        return f"{self._plurals[objects]}.{group}" if group else self._plurals[objects]


def refusal(attempt: str, answer: Answer) -> TriggerUnavailable | TriggerRejected:
    """What a status that is no success means."""
    message = f"the Kubernetes API refused to {attempt} ({answer.status}): {answer.message}"
    if answer.status in _RETRYABLE or answer.status >= 500:
        return TriggerUnavailable(message, answer.retry_after)
    return TriggerRejected(message)


def _plural(objects: Objects, answer: Answer) -> str:
    api_version, kind = objects.api_version, objects.kind
    resource = resource_of(kind, answer)
    if resource is None:
        raise TriggerUnavailable(f"the Kubernetes API knows no {kind} in {api_version}: is its CRD installed?")
    if not resource.get("namespaced"):
        raise TriggerRejected(f"{api_version} {kind} is not a namespaced kind: change the template")
    return str(resource["name"])
