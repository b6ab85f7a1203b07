"""Objects that runs are made from, read through the Kubernetes API."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from service.adapters.kubernetes_api import Answer, KubernetesApi, KubernetesUnreachable, group_path, resource_of
from service.adapters.kubernetes_credentials import Credentials
from service.domain.errors import VettingUnavailable
from service.domain.retraining.pinned import ObjectName


class KubernetesObjects:
    """A `service.ports.ClusterObjects`; of kinds that have namespaces, in one."""

    def __init__(self, credentials: Credentials, namespace: str, *, request_timeout_s: float = 10.0) -> None:
        self._api = KubernetesApi(credentials, request_timeout_s=request_timeout_s)
        self._namespace = namespace
        self._collections: dict[tuple[str, str], str] = {}

    async def __aenter__(self) -> Self:
        """Reads the credentials; raises `InvalidConfiguration`."""
        await self._api.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.aclose()

    async def read(self, named: ObjectName, /) -> Mapping[str, Any] | None:
        collection = await self._collection(named)
        answer = await self._get(f"{collection}/{quote(named.name, safe='')}")
        if answer.ok and answer.body.get("kind") == named.kind:
            return answer.body
        if answer.status == 404 and answer.reason == "NotFound":
            return None
        raise _unavailable(str(named), answer)

    async def _collection(self, named: ObjectName) -> str:
        """The path of all objects of its kind; asked once."""
        key = (named.api_version, named.kind)
        if key not in self._collections:
            group = group_path(named.api_version)
            answer = await self._get(group)
            if not answer.ok:
                raise _unavailable(named.api_version, answer)
            self._collections[key] = self._path(group, named, answer)
        return self._collections[key]

    def _path(self, group: str, named: ObjectName, answer: Answer) -> str:
        resource = resource_of(named.kind, answer)
        if resource is None:
            raise VettingUnavailable(
                f"the Kubernetes API knows no {named.kind} in {named.api_version}: is its CRD installed?"
            )
        within = f"/namespaces/{self._namespace}" if resource.get("namespaced") else ""
        return f"{group}{within}/{resource['name']}"

    async def _get(self, path: str) -> Answer:
        try:
            return await self._api.send("GET", path)
        except KubernetesUnreachable as error:
            raise VettingUnavailable(str(error)) from error


def _unavailable(what: str, answer: Answer) -> VettingUnavailable:
    return VettingUnavailable(f"the Kubernetes API does not tell of {what} ({answer.status}): {answer.message}")
