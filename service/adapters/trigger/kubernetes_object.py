"""A trigger that creates the template's object through the Kubernetes API."""

from types import TracebackType
from typing import Self
from urllib.parse import quote

from service.adapters.kubernetes_api import Answer, KubernetesApi, KubernetesUnreachable
from service.adapters.kubernetes_credentials import Credentials
from service.adapters.trigger.manifest import identity_labels, render
from service.adapters.trigger.template import Template
from service.domain.errors import TriggerRejected, TriggerUnavailable
from service.domain.models import RetrainRequest, TriggerOutcome, TriggerReceipt
from service.domain.retraining.run import Order

# Refusals that somebody can lift without changing the request: credentials, permissions, a namespace or a resource
# definition that is not there yet, load, and faults of the server. Everything else will be refused again.
_RETRYABLE = frozenset({401, 403, 404, 408, 409, 425, 429})


class KubernetesObjectTrigger:
    """Creates one object for each request; the API server's unique names make repeating it harmless."""

    def __init__(self, template: Template, credentials: Credentials, *, request_timeout_s: float = 10.0) -> None:
        self._template = template
        self._api = KubernetesApi(credentials, request_timeout_s=request_timeout_s)
        self._collection: str | None = None

    async def open(self) -> None:
        """Read the credentials; sends nothing. Raises `InvalidConfiguration`."""
        await self._api.open()

    async def aclose(self) -> None:
        """Close the connections; a second time has no effect."""
        await self._api.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def fire(self, order: Order, /) -> TriggerReceipt:
        request = order.request
        collection = await self._find_collection()
        # Strict: a misspelt field of the template is refused, where the default is to drop it and run something else.
        answer = await self._send("POST", f"{collection}?fieldValidation=Strict", render(self._template, request))
        if answer.ok:
            return self._receipt(TriggerOutcome.CREATED, request)
        if answer.status == 409 and answer.reason == "AlreadyExists":
            await self._check_is_ours(collection, request)
            return self._receipt(TriggerOutcome.ALREADY_EXISTS, request)
        raise _refusal(f"create {self._template.kind} {request.name}", answer)

    def _receipt(self, outcome: TriggerOutcome, request: RetrainRequest) -> TriggerReceipt:
        return TriggerReceipt(outcome, request.name, self._template.namespace, self._template.kind)

    async def _check_is_ours(self, collection: str, request: RetrainRequest) -> None:
        answer = await self._send("GET", f"{collection}/{quote(request.name, safe='')}")
        if not answer.ok:
            raise _refusal(f"get {self._template.kind} {request.name}", answer)
        labels = answer.body.get("metadata", {}).get("labels") or {}
        if not identity_labels(request).items() <= labels.items():
            raise TriggerRejected(
                f"{self._template.kind} {request.name} in {self._template.namespace} exists and was not made for this "
                f"verdict: the name is taken; look at it and remove it"
            )

    async def _find_collection(self) -> str:
        """The path under which objects of the template's kind are created; asked once."""
        if self._collection is None:
            template = self._template
            group = f"/{'apis' if '/' in template.api_version else 'api'}/{template.api_version}"
            answer = await self._send("GET", group)
            if not answer.ok:
                raise _refusal(f"look up {template.api_version}", answer)
            self._collection = f"{group}/namespaces/{template.namespace}/{_plural(template, answer)}"
        return self._collection

    async def _send(self, method: str, path: str, body: dict[str, object] | None = None) -> Answer:
        try:
            return await self._api.send(method, path, body)
        except KubernetesUnreachable as error:
            raise TriggerUnavailable(str(error)) from error


def _plural(template: Template, answer: Answer) -> str:
    for resource in answer.body.get("resources", ()):
        if resource.get("kind") == template.kind and "/" not in resource.get("name", "/"):
            if not resource.get("namespaced"):
                raise TriggerRejected(
                    f"{template.api_version} {template.kind} is not a namespaced kind: change the template"
                )
            return str(resource["name"])
    raise TriggerUnavailable(
        f"the Kubernetes API knows no {template.kind} in {template.api_version}: is its CRD installed?"
    )


def _refusal(attempt: str, answer: Answer) -> TriggerUnavailable | TriggerRejected:
    message = f"the Kubernetes API refused to {attempt} ({answer.status}): {answer.message}"
    if answer.status in _RETRYABLE or answer.status >= 500:
        return TriggerUnavailable(message, answer.retry_after)
    return TriggerRejected(message)
