"""What decides what a run does: the digests of templates and of objects in the cluster, their images and references.

What the three kinds of targets (Kubernetes' Job, Argo Workflows, Tekton) call an image or a reference is found by the
names of the members, wherever they stand: what is found too much is refused, and what runs is never found too little.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CRON_JOB = "CronJob"
MAXIMUM_PINS = 50
"""That one template may lead to."""
_BY_DIGEST = re.compile(r"[^@\s{}$]+@sha256:[0-9a-f]{64}")
_ARGO, _TEKTON, _STEP_ACTION = "argoproj.io/v1alpha1", "tekton.dev/v1", "tekton.dev/v1beta1"
_ELSEWHERE = ("resolver", "bundle")
"""Members of a reference of Tekton to what is not in the cluster, or is found only when it runs."""
_TEXTS = ("manifest", "manifestFrom", "podSpecPatch")
"""Members of Argo that hold an object, or a part of one, as a text, or say where it is fetched from."""
_SAYS_NOTHING = frozenset({"metadata", "status"})


@dataclass(frozen=True, slots=True)
class ObjectName:
    """An object in the namespace of the runs, or of the whole cluster where its kind is."""

    api_version: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def without_version(self) -> tuple[str, str, str]:
        """The same for every version in which its group serves it."""
        return self.api_version.rpartition("/")[0], self.kind, self.name


@dataclass(frozen=True, slots=True)
class Pin:
    """What an object has to be."""

    named: ObjectName
    digest: str
    """As `digest_of` tells it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A place of a document that names another object."""

    place: str
    named: ObjectName | None
    """None: it is not an object of this cluster, or which one it is turns out only when it runs."""


@dataclass(frozen=True, slots=True)
class Image:
    """A place of a document that says from which image something runs."""

    place: str
    name: str | None
    """None: it cannot be told, since it is in a text that becomes an object, or not here."""

    @property
    def is_by_digest(self) -> bool:
        return self.name is not None and _BY_DIGEST.fullmatch(self.name) is not None


def digest_of(document: Mapping[str, Any]) -> str:
    """Of what decides what an object runs: of a CronJob its `jobTemplate`, of others all but metadata and status.

    As the API server gives it, which has filled in its defaults. Another group's CronJob is one of the others.
    """
    if document.get("kind") == CRON_JOB and str(document.get("apiVersion")).startswith("batch/"):
        spec = document.get("spec")
        return json_digest({"jobTemplate": spec.get("jobTemplate") if isinstance(spec, Mapping) else None})
    return json_digest({name: value for name, value in document.items() if name not in _SAYS_NOTHING})


def json_digest(value: Any) -> str:
    """SHA-256 of canonical JSON: members sorted, no white space, ASCII; `sha256:` and hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode('ascii')).hexdigest()}"


def images(document: Mapping[str, Any]) -> list[Image]:
    """Of containers, init containers, steps, sidecars, scripts and image volumes, in the order of their places."""
    return sorted(_images(document), key=lambda image: image.place)


def references(document: Mapping[str, Any]) -> list[Reference]:
    """To objects that say, in their turn, what runs; in the order of their places."""
    return sorted(_references(document), key=lambda reference: reference.place)


def _images(document: Mapping[str, Any]) -> Iterator[Image]:
    for place, node in _mappings(document):
        image = node.get("image")
        if isinstance(image, str):
            yield Image(_below(place, "image"), image)
        elif isinstance(image, Mapping) and isinstance(image.get("reference"), str):
            yield Image(_below(place, "image.reference"), image["reference"])
        for member in _TEXTS:
            if isinstance(node.get(member), str | Mapping):
                yield Image(_below(place, member), None)


def _references(document: Mapping[str, Any]) -> Iterator[Reference]:
    for place, node in _mappings(document):
        for member in ("workflowTemplateRef", "templateRef"):
            if isinstance(named := node.get(member), Mapping):
                kind = "ClusterWorkflowTemplate" if named.get("clusterScope") else "WorkflowTemplate"
                yield Reference(_below(place, member), _named(named, _ARGO, kind))
        for member, kind in (("pipelineRef", "Pipeline"), ("taskRef", "Task")):
            if isinstance(named := node.get(member), Mapping):
                yield Reference(_below(place, member), _named(named, _TEKTON, kind))
        if re.search(r"(^|\.)steps\[\d+\]$", place) and isinstance(named := node.get("ref"), Mapping):
            yield Reference(_below(place, "ref"), _named(named, _STEP_ACTION, "StepAction"))


def _named(reference: Mapping[str, Any], api_version: str, kind: str) -> ObjectName | None:
    name = reference.get("name")
    if not isinstance(name, str) or any(member in reference for member in _ELSEWHERE):
        return None
    return ObjectName(str(reference.get("apiVersion") or api_version), str(reference.get("kind") or kind), name)


def _mappings(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping in it with its place, but for metadata; without recursion, however deep it is."""
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        place, node = waiting.pop()
        if isinstance(node, Mapping):
            yield place, node
            waiting += [(_below(place, str(name)), value) for name, value in node.items() if name != "metadata"]
        elif isinstance(node, list):
            waiting += [(f"{place}[{index}]", value) for index, value in enumerate(node)]


def _below(place: str, member: str) -> str:
    return f"{place}.{member}" if place else member
