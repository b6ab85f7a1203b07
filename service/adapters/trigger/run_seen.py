"""What an object in the target says of the run that it is."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from service.adapters.trigger.manifest import APPROVAL, MODEL_LABEL
from service.adapters.trigger.run_kind import RunKind
from service.adapters.trigger.template import MANAGED_BY, MANAGER
from service.domain.errors import InvalidModelName
from service.domain.models import ModelName, model_name
from service.domain.retraining.run import Progress, RunSeen

MAXIMUM_DETAIL = 500
_Ended = tuple[Progress, Any, str]


def run_seen(kind: RunKind, document: Mapping[str, Any]) -> RunSeen | None:
    """None: it is no run of ours."""
    metadata = _mapping(document, "metadata")
    model = _model(metadata)
    if model is None:
        return None
    status = _mapping(document, "status")
    for progress, at, detail in _ends(kind, status):
        return _seen(model, metadata, progress, at, detail if progress is Progress.FAILED else "")
    if is_held(kind, document):
        return _seen(model, metadata, Progress.SUSPENDED, metadata.get("creationTimestamp"))
    return _seen(model, metadata, Progress.RUNNING, status.get("startTime") or status.get("startedAt"))


def is_held(kind: RunKind, document: Mapping[str, Any]) -> bool:
    """Whether it waits because we made it wait: what a queue or an administrator holds is theirs to let go."""
    annotations = _mapping(_mapping(document, "metadata"), "annotations")
    return APPROVAL in annotations and kind.waits(document)


def _ends(kind: RunKind, status: Mapping[str, Any]) -> Iterator[_Ended]:
    conditions = status.get("conditions")
    for condition in conditions if isinstance(conditions, list) else ():
        if not isinstance(condition, Mapping):
            continue
        progress = kind.conditions.get((str(condition.get("type")), str(condition.get("status"))))
        if progress is not None:
            said = [str(condition[name]) for name in ("reason", "message") if condition.get(name)]
            yield progress, condition.get("lastTransitionTime"), ": ".join(said)
    phase = str(status.get("phase"))
    if phase in kind.phases:
        yield kind.phases[phase], status.get("finishedAt"), str(status.get("message") or phase)


def _seen(model: ModelName, metadata: Mapping[str, Any], progress: Progress, at: object, detail: str = "") -> RunSeen:
    name, uid = str(metadata.get("name", "")), str(metadata.get("uid", ""))
    return RunSeen(model, name, progress, uid, _moment(at), _for_people(detail))


def _model(metadata: Mapping[str, Any]) -> ModelName | None:
    labels = _mapping(metadata, "labels")
    if labels.get(MANAGED_BY) != MANAGER:
        return None
    try:
        return model_name(str(labels.get(MODEL_LABEL, "")))
    except InvalidModelName:
        return None


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _for_people(text: str) -> str:
    """On one line, without what a terminal would obey."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[: 2 * MAXIMUM_DETAIL])
    return " ".join(shown.split())[:MAXIMUM_DETAIL]


def _mapping(node: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    found = node.get(member)
    return found if isinstance(found, Mapping) else {}
