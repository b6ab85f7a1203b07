"""Template and request in, manifest out: the same request always gives the same manifest."""

import copy
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from service.adapters.trigger.template import (
    ENVIRONMENT_PREFIX,
    MANAGED_BY,
    MANAGER,
    PREFIX,
    TRACEPARENT,
    Template,
    containers,
)
from service.domain.models import RetrainRequest

MODEL_LABEL = f"{PREFIX}model"
VERDICT_LABEL = f"{PREFIX}verdict"
MAXIMUM_FEATURES_BYTES = 4096
"""An object's annotations share 256 KiB, and a process's environment has its limits too."""


def render(template: Template, request: RetrainRequest) -> dict[str, Any]:
    """Fill in the name, the namespace, allow-listed labels and annotations, and each container's environment."""
    manifest = copy.deepcopy(dict(template.document))
    metadata = manifest["metadata"]
    metadata["name"] = request.name
    metadata["namespace"] = template.namespace
    metadata["labels"] = {**metadata.get("labels", {}), **identity_labels(request)}
    metadata["annotations"] = {**metadata.get("annotations", {}), **_annotations(request)}
    added = [{"name": name, "value": _literal(value)} for name, value in _environment(request).items()]
    for _, container in containers(manifest):
        container["env"] = [*container.get("env", []), *copy.deepcopy(added)]
    return manifest


def identity_labels(request: RetrainRequest) -> dict[str, str]:
    """By which an object is known as this request's own."""
    return {MANAGED_BY: MANAGER, MODEL_LABEL: request.model, VERDICT_LABEL: str(request.verdict_number)}


def _annotations(request: RetrainRequest) -> dict[str, str]:
    facts = {
        "reference-digest": request.reference_digest,
        "plan-digest": request.plan_digest,
        "window-start": _rfc3339(request.window_start),
        "window-end": _rfc3339(request.window_end),
        "drifted-features": _bounded_list(request.drifted_features),
    }
    if request.traceparent is not None:
        facts["traceparent"] = request.traceparent
    return {f"{PREFIX}{name}": value for name, value in facts.items()}


def _environment(request: RetrainRequest) -> dict[str, str]:
    facts = {
        "MODEL": str(request.model),
        "VERDICT": str(request.verdict_number),
        "WINDOW_START": _rfc3339(request.window_start),
        "WINDOW_END": _rfc3339(request.window_end),
        "REFERENCE_DIGEST": request.reference_digest,
        "DRIFTED_FEATURES": _bounded_list(request.drifted_features),
    }
    environment = {f"{ENVIRONMENT_PREFIX}{name}": value for name, value in facts.items()}
    return environment if request.traceparent is None else {**environment, TRACEPARENT: request.traceparent}


def _bounded_list(features: Sequence[str]) -> str:
    """As many features as fit, from the front, where the largest effects are; always a whole JSON list."""
    kept: list[str] = []
    size = len("[]")
    for feature in features:
        size += len(json.dumps(feature)) + len(", ")
        if size > MAXIMUM_FEATURES_BYTES:
            break
        kept.append(feature)
    return json.dumps(kept)


def _literal(value: str) -> str:
    """Kubernetes expands $(NAME) in an environment value; a feature of that name must not read a variable."""
    return value.replace("$", "$$")


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
