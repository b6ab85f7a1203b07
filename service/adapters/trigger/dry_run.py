"""Triggers that start nothing and show what would have been started."""

from collections.abc import Awaitable, Callable
from typing import Any

import yaml

from service.adapters.trigger.manifest import render
from service.adapters.trigger.template import Template
from service.domain.models import TriggerOutcome, TriggerReceipt
from service.domain.retraining.pinned import json_digest
from service.domain.retraining.run import Order

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""In C where it was built: the other one takes milliseconds, in which nobody gets an answer."""


class DryRunTrigger:
    """Needs no cluster: for trying plans and templates, and where retraining is somebody else's decision."""

    def __init__(self, template: Template) -> None:
        self._template = template

    async def fire(self, order: Order, /) -> TriggerReceipt:
        return _shown(order, render(self._template, order))


class Rehearsal:
    """Shows what another trigger would make, of whatever it would make it."""

    def __init__(self, manifest: Callable[[Order], Awaitable[dict[str, Any]]]) -> None:
        """`manifest` raises `TriggerUnavailable`, `TriggerRejected`."""
        self._manifest = manifest

    async def fire(self, order: Order, /) -> TriggerReceipt:
        return _shown(order, await self._manifest(order))


def _shown(order: Order, manifest: dict[str, Any]) -> TriggerReceipt:
    return TriggerReceipt(
        TriggerOutcome.DRY_RUN,
        order.request.name,
        manifest["metadata"]["namespace"],
        manifest["kind"],
        detail=yaml.dump(manifest, Dumper=_DUMPER, sort_keys=False),
        manifest_digest=json_digest(manifest),
    )
