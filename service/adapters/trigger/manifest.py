"""Template and order in, manifest out: the same order always gives the same manifest.

What is added has names that are written here and values that the service itself makes, but for the names of features:
those are told as JSON in which nothing is left that a shell, a kubelet, Argo or Tekton would take for more than a text.
"""

import copy
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from service.adapters.trigger.run_kind import RunKind
from service.adapters.trigger.template import (
    ENVIRONMENT_PREFIX,
    MANAGED_BY,
    MANAGER,
    PARAMETER_PREFIX,
    PREFIX,
    TRACEPARENT,
    Template,
    containers,
)
from service.domain.errors import TriggerRejected
from service.domain.models import RetrainRequest
from service.domain.retraining.gate import Evidence
from service.domain.retraining.run import Order

MODEL_LABEL = f"{PREFIX}model"
VERDICT_LABEL = f"{PREFIX}verdict"
APPROVAL = f"{PREFIX}approval"
"""An annotation: `manual` on what waits because we made it wait."""
MAXIMUM_FEATURES_BYTES = 4096
"""An object's annotations share 256 KiB, and a process's environment has its limits too."""
_QUEUE = "kueue.x-k8s.io/queue-name"
_ESCAPED = re.compile(r"[^A-Za-z0-9 _.,:;/@%+=-]")


def render(template: Template, order: Order) -> dict[str, Any]:
    """Fill in name, namespace, allow-listed labels and annotations, and what the run itself is told.

    Raises `TriggerRejected` where the order is to wait and the template's object cannot.
    """
    request = order.request
    manifest = copy.deepcopy(dict(template.document))
    metadata = manifest["metadata"]
    metadata["name"] = request.name
    metadata["namespace"] = template.namespace
    metadata["labels"] = {**metadata.get("labels", {}), **identity_labels(request)}
    metadata["annotations"] = {**metadata.get("annotations", {}), **_annotations(order)}
    _tell(manifest, template.objects.run_kind, order)
    if order.suspended:
        _suspend(manifest, template)
    return manifest


def identity_labels(request: RetrainRequest) -> dict[str, str]:
    """By which an object is known as this request's own."""
    return {MANAGED_BY: MANAGER, MODEL_LABEL: request.model, VERDICT_LABEL: str(request.verdict_number)}


def _tell(manifest: dict[str, Any], kind: RunKind, order: Order) -> None:
    facts = _facts(order)
    if kind.parameters is not None:
        node = manifest
        for member in kind.parameters[:-1]:
            node = node.setdefault(member, {})
        facts[TRACEPARENT] = order.request.traceparent or ""
        told = {PARAMETER_PREFIX + name.lower().replace("_", "-"): value for name, value in facts.items()}
        node[kind.parameters[-1]] = [*node.get(kind.parameters[-1], []), *_named_values(told)]
        return
    environment = {ENVIRONMENT_PREFIX + name: value for name, value in facts.items()}
    if order.request.traceparent is not None:
        environment[TRACEPARENT] = order.request.traceparent
    for _, container in containers(manifest):
        container["env"] = [*container.get("env", []), *_named_values(environment)]


def _suspend(manifest: dict[str, Any], template: Template) -> None:
    suspension = template.objects.run_kind.suspension
    if suspension is None:
        raise TriggerRejected(f"a {template.kind} cannot wait to be released: plan no approval, or use another kind")
    if _QUEUE in manifest["metadata"]["labels"]:
        raise TriggerRejected(
            f"the template's label {_QUEUE} lets Kueue release what is to wait for somebody: take it away, or plan no "
            "approval"
        )
    manifest["metadata"]["annotations"][APPROVAL] = "manual"
    manifest.setdefault("spec", {})[suspension.member] = suspension.waits


def permitted_with(evidence: Evidence) -> dict[str, str | None]:
    """Annotations by which an object is known as made from that; None: there must be none of that name."""
    facts = {
        "template-digest": evidence.template_digest,
        "dataset-digest": evidence.dataset_digest,
        "dataset-version": None if evidence.dataset_version is None else str(evidence.dataset_version),
        "approver": evidence.approver,
        "base-model-digest": evidence.base_model_digest,
    }
    return {f"{PREFIX}{name}": value for name, value in facts.items()}


def _annotations(order: Order) -> dict[str, str]:
    request = order.request
    facts = {
        "drift-event": request.name,
        "reference-digest": request.reference_digest,
        "plan-digest": request.plan_digest,
        "window-start": _rfc3339(request.window_start),
        "window-end": _rfc3339(request.window_end),
        "drifted-features": _bounded_list(request.drifted_features),
        "traceparent": request.traceparent,
    }
    named = {f"{PREFIX}{name}": value for name, value in facts.items()} | permitted_with(order.evidence)
    return {name: value for name, value in named.items() if value is not None}


def _facts(order: Order) -> dict[str, str]:
    """The same names for every order, so that a template may count on them: what is not known is empty."""
    request, evidence = order.request, order.evidence
    return {
        "DRIFT_EVENT": request.name,
        "MODEL": str(request.model),
        "VERDICT": str(request.verdict_number),
        "WINDOW_START": _rfc3339(request.window_start),
        "WINDOW_END": _rfc3339(request.window_end),
        "REFERENCE_DIGEST": request.reference_digest,
        "DATASET_DIGEST": evidence.dataset_digest or "",
        "BASE_MODEL_DIGEST": evidence.base_model_digest or "",
        "DRIFTED_FEATURES": _bounded_list(request.drifted_features),
    }


def _named_values(facts: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in facts.items()]


def _bounded_list(features: Sequence[str]) -> str:
    """As many features as fit, from the front, where the largest effects are; always a whole JSON list."""
    kept: list[str] = []
    size = len("[]")
    for feature in features:
        text = _text(feature)
        size += len(text) + len(", ")
        if size > MAXIMUM_FEATURES_BYTES:
            break
        kept.append(text)
    return f"[{', '.join(kept)}]"


def _text(feature: str) -> str:
    return f'"{_ESCAPED.sub(_escape, feature)}"'


def _escape(found: re.Match[str]) -> str:
    letter = found[0]
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else json.dumps(letter)[1:-1]


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
