"""A trigger that creates the template's object through the Kubernetes API."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from service.adapters.kubernetes_credentials import Credentials
from service.adapters.trigger.cron_job import read_cron_job
from service.adapters.trigger.manifest import identity_labels, permitted_with, render
from service.adapters.trigger.run_kind import Objects
from service.adapters.trigger.target import Target, refusal
from service.adapters.trigger.template import MadeFrom, Template
from service.domain.errors import TriggerRejected, TriggerUnavailable
from service.domain.models import TriggerOutcome, TriggerReceipt
from service.domain.retraining.pinned import json_digest
from service.domain.retraining.run import Order
from service.domain.retraining.sources import ALL_OTHERS, of_model

_NOT_ADMITTED = frozenset({400, 403, 422})
"""Schemas, policies and quotas are asked before names: what was made may itself fill the quota that refuses it now."""


class KubernetesObjectTrigger:
    """Creates one object for each order; the API server's unique names make repeating it harmless."""

    def __init__(
        self, made_from: MadeFrom | Mapping[str, MadeFrom], credentials: Credentials, *, request_timeout_s: float = 10.0
    ) -> None:
        """`made_from`: the same for every model, or by model."""
        self._made_from = made_from if isinstance(made_from, Mapping) else {ALL_OTHERS: made_from}
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
        objects, name = self._source(order).objects, order.request.name
        collection = await self._api.collection(objects)
        try:
            manifest = await self.manifest(order)
        except (TriggerRejected, TriggerUnavailable):
            # What has changed since, or is away, may have been another way when it was made.
            if (existing := await self._existing(collection, objects, order)) is not None:
                return _receipt(TriggerOutcome.ALREADY_EXISTS, objects, existing, "")
            raise
        # Strict: a misspelt field of the template is refused, where the default is to drop it and run something else.
        answer = await self._api.ask("POST", f"{collection}?fieldValidation=Strict", manifest)
        if answer.ok:
            return _receipt(TriggerOutcome.CREATED, objects, answer.body, json_digest(manifest))
        if answer.status == 409 and answer.reason == "AlreadyExists":
            existing = await self._existing(collection, objects, order)
            if existing is None:
                raise TriggerUnavailable(f"{objects.kind} {name} was deleted while it was made")
            return _receipt(TriggerOutcome.ALREADY_EXISTS, objects, existing, json_digest(manifest))
        refused = refusal(f"create {objects.kind} {name}", answer)
        if answer.status not in _NOT_ADMITTED:
            raise refused
        try:
            existing = await self._existing(collection, objects, order)
        except TriggerUnavailable as error:
            raise TriggerUnavailable(f"{refused}; whether it is there already is not known: {error}") from error
        if existing is None:
            raise refused
        return _receipt(TriggerOutcome.ALREADY_EXISTS, objects, existing, "")

    async def manifest(self, order: Order, /) -> dict[str, Any]:
        """What is made for it. Raises `TriggerUnavailable`, `TriggerRejected`."""
        made_from, permitted = self._source(order), order.evidence.template_digest
        if permitted != f"sha256:{made_from.digest}":
            raise TriggerRejected(f"the template is sha256:{made_from.digest} now, and {permitted} was permitted")
        template = made_from if isinstance(made_from, Template) else await read_cron_job(self._api, made_from)
        return render(template, order)

    def _source(self, order: Order) -> MadeFrom:
        made_from = of_model(self._made_from, order.request.model)
        if made_from is None:
            raise TriggerRejected("nothing is named that runs of this model are made from, nor for all others (*)")
        return made_from

    async def _existing(self, collection: str, objects: Objects, order: Order) -> dict[str, Any] | None:
        """What has the request's name, if it was made for it, of what was permitted; None: nothing has.

        An earlier release, which may be updated at this moment, says nothing of what it makes objects from.
        """
        request = order.request
        answer = await self._api.ask("GET", f"{collection}/{quote(request.name, safe='')}")
        if answer.status == 404 and answer.reason == "NotFound":
            return None
        if not answer.ok:
            raise refusal(f"get {objects.kind} {request.name}", answer)
        metadata = answer.body.get("metadata", {})
        if not identity_labels(request).items() <= (metadata.get("labels") or {}).items():
            raise TriggerRejected(
                f"{objects.kind} {request.name} in {objects.namespace} exists and was not made for this "
                f"verdict: the name is taken; look at it and remove it"
            )
        annotations = metadata.get("annotations") or {}
        permitted = permitted_with(order.evidence)
        said = {name: annotations.get(name) for name in permitted}
        if any(said.values()) and said != permitted:
            raise TriggerRejected(
                f"{objects.kind} {request.name} in {objects.namespace} exists and was made from something else than "
                "what was permitted: the name is taken; look at it and remove it"
            )
        return answer.body


def _receipt(outcome: TriggerOutcome, objects: Objects, document: dict[str, Any], digest: str) -> TriggerReceipt:
    metadata = document["metadata"]
    return TriggerReceipt(
        outcome,
        metadata["name"],
        objects.namespace,
        objects.kind,
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        manifest_digest=digest,
    )
