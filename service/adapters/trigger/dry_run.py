"""A trigger that starts nothing and shows what it would have started."""

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
        manifest = render(self._template, order)
        return TriggerReceipt(
            TriggerOutcome.DRY_RUN,
            order.request.name,
            self._template.namespace,
            self._template.kind,
            detail=yaml.dump(manifest, Dumper=_DUMPER, sort_keys=False),
            manifest_digest=json_digest(manifest),
        )
