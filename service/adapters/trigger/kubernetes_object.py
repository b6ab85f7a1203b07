"""A trigger that creates the template's object through the Kubernetes API."""

from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from service.adapters.kubernetes_credentials import Credentials
from service.adapters.trigger.manifest import identity_labels, manifest_digest, render
from service.adapters.trigger.target import Target, refusal
from service.adapters.trigger.template import Template
from service.domain.errors import TriggerRejected
from service.domain.models import RetrainRequest, TriggerOutcome, TriggerReceipt
from service.domain.retraining.run import Order


class KubernetesObjectTrigger:
    """Creates one object for each order; the API server's unique names make repeating it harmless."""

    def __init__(self, template: Template, credentials: Credentials, *, request_timeout_s: float = 10.0) -> None:
        self._template = template
        self._api = Target(credentials, request_timeout_s=request_timeout_s)

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
        template, request = self._template, order.request
        manifest = render(template, order)
        collection = await self._api.collection(template.objects)
        # Strict: a misspelt field of the template is refused, where the default is to drop it and run something else.
        answer = await self._api.ask("POST", f"{collection}?fieldValidation=Strict", manifest)
        if answer.ok:
            return _receipt(TriggerOutcome.CREATED, template, answer.body, manifest)
        if answer.status == 409 and answer.reason == "AlreadyExists":
            existing = await self._existing(collection, request)
            return _receipt(TriggerOutcome.ALREADY_EXISTS, template, existing, manifest)
        raise refusal(f"create {template.kind} {request.name}", answer)

    async def _existing(self, collection: str, request: RetrainRequest) -> dict[str, Any]:
        """What has the request's name, if it was made for it."""
        kind = self._template.kind
        answer = await self._api.ask("GET", f"{collection}/{quote(request.name, safe='')}")
        if not answer.ok:
            raise refusal(f"get {kind} {request.name}", answer)
        labels = answer.body.get("metadata", {}).get("labels") or {}
        if not identity_labels(request).items() <= labels.items():
            raise TriggerRejected(
                f"{kind} {request.name} in {self._template.namespace} exists and was not made for this "
                f"verdict: the name is taken; look at it and remove it"
            )
        return answer.body


def _receipt(
    outcome: TriggerOutcome, template: Template, document: dict[str, Any], manifest: dict[str, Any]
) -> TriggerReceipt:
    metadata = document.get("metadata", {})
    return TriggerReceipt(
        outcome,
        manifest["metadata"]["name"],
        template.namespace,
        template.kind,
        uid=str(metadata.get("uid", "")),
        version=str(metadata.get("resourceVersion", "")),
        manifest_digest=manifest_digest(manifest),
    )
