"""The operator's template, checked when it is loaded: what is wrong with it is said at start, not when drift is found.

A template is any namespaced Kubernetes object whose creation starts a run.
"""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from service.adapters.trigger.run_kind import Objects, run_kind
from service.domain.errors import InvalidConfiguration
from service.domain.retraining.pinned import Pin

SHIPPED_TEMPLATE = Path(__file__).with_name("job.yaml")
MAXIMUM_BYTES = 256 * 1024

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "driftwarden"
PREFIX = "driftwarden.dev/"
ENVIRONMENT_PREFIX = "DRIFTWARDEN_"
PARAMETER_PREFIX = "driftwarden-"
TRACEPARENT = "TRACEPARENT"

_API_VERSION = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?v[a-z0-9]+", re.ASCII)
_KIND = re.compile(r"[A-Z][A-Za-z0-9]*", re.ASCII)
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Template:
    """A template that can be rendered."""

    api_version: str
    kind: str
    namespace: str
    """Where the objects are created: the service's setting, never the template's choice."""
    document: Mapping[str, Any] = field(repr=False)
    """As in the file, JSON values only; never changed."""
    digest: str
    """SHA-256 of the file, or what the object in the cluster is pinned to; in hexadecimal."""

    @property
    def objects(self) -> Objects:
        """Those that are made from it are among these."""
        return Objects(self.api_version, self.kind, self.namespace)


@dataclass(frozen=True, slots=True)
class CronJobTemplate:
    """The part of a CronJob in the cluster that Jobs are made from; it is read when one is."""

    pin: Pin
    namespace: str

    @property
    def objects(self) -> Objects:
        """Those that are made from it are among these."""
        return Objects("batch/v1", "Job", self.namespace)

    @property
    def digest(self) -> str:
        """What it is pinned to, in hexadecimal."""
        return self.pin.digest.removeprefix("sha256:")


MadeFrom = Template | CronJobTemplate
"""What objects are made from."""


def read_template(path: Path, namespace: str) -> Template:
    """Read and check a file; raises `InvalidConfiguration`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(f"the retraining template {path} cannot be read: {error}") from error
    return parse_template(text, namespace, source=str(path))


def parse_template(text: str, namespace: str, *, source: str = "the retraining template") -> Template:
    """Check a template; raises `InvalidConfiguration` with the source and the place that is wrong."""
    if len(text.encode()) > MAXIMUM_BYTES:
        raise InvalidConfiguration(f"{source}: is larger than {MAXIMUM_BYTES} bytes")
    return checked_template(_load(text, source), namespace, hashlib.sha256(text.encode()).hexdigest(), source)


def checked_template(document: dict[str, Any], namespace: str, digest: str, source: str) -> Template:
    """Of a document that is read; raises `InvalidConfiguration` as `parse_template` does."""
    if not _NAMESPACE.fullmatch(namespace):
        raise InvalidConfiguration(f"the retraining namespace {namespace!r} is not a Kubernetes namespace name")
    for fault in _faults(document, namespace):
        raise InvalidConfiguration(f"{source}: {fault}")
    return Template(document["apiVersion"], document["kind"], namespace, document, digest)


def containers(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each container of the Pod that the object makes, where it holds a Pod template as a Job does, with its place."""
    node: Any = document
    for key in ("spec", "template", "spec"):
        node = node.get(key) if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping):
        return
    for group in ("initContainers", "containers"):
        found = node.get(group)
        for index, container in enumerate(found if isinstance(found, list) else ()):
            if isinstance(container, dict):
                yield f"spec.template.spec.{group}[{index}]", container


def _load(text: str, source: str) -> dict[str, Any]:
    try:
        # An alias repeats a part of the document; nine lines of them repeat it a thousand million times.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise InvalidConfiguration(f"{source}: YAML aliases (*name) are not supported; write the value out")
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidConfiguration(
            f"{source}: is not one YAML document: {' '.join(str(error).split())[:300]}"
        ) from error
    if not isinstance(document, dict):
        raise InvalidConfiguration(f"{source}: must be one Kubernetes object (a mapping)")
    return cast("dict[str, Any]", document)


def _faults(document: dict[str, Any], namespace: str) -> Iterator[str]:
    yield from _not_json(document, "")
    for key, pattern in (("apiVersion", _API_VERSION), ("kind", _KIND)):
        if not isinstance(document.get(key), str) or not pattern.fullmatch(document[key]):
            yield f"{key}: is missing or not a valid {key}"
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        yield "metadata: must be a mapping (it may be empty: {})"
        return
    yield from _metadata_faults(metadata, namespace)
    if not isinstance(document.get("spec", {}), dict):
        yield "spec: must be a mapping"
        return
    for place, container in containers(document):
        yield from _environment_faults(place, container.get("env", []))
    yield from _parameter_faults(document)


def _metadata_faults(metadata: dict[str, Any], namespace: str) -> Iterator[str]:
    for key in ("name", "generateName"):
        if key in metadata:
            yield f"metadata.{key}: remove it; the name follows from the verdict, so that one verdict starts one run"
    if metadata.get("namespace", namespace) != namespace:
        yield f"metadata.namespace: remove it; objects are created in the configured namespace {namespace!r}"
    for section in ("labels", "annotations"):
        entries = metadata.get(section, {})
        if not isinstance(entries, dict) or not all(isinstance(value, str) for value in entries.values()):
            yield f"metadata.{section}: must be a mapping of strings; put numbers and booleans in quotes"
            continue
        for key, value in entries.items():
            if key.startswith(PREFIX) or (key == MANAGED_BY and value != MANAGER):
                yield f"metadata.{section}[{key}]: is set by Driftwarden; remove it"


def _environment_faults(place: str, environment: object) -> Iterator[str]:
    if not isinstance(environment, list):
        yield f"{place}.env: must be a list"
        return
    for index, entry in enumerate(environment):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            yield f"{place}.env[{index}]: must be a mapping with a name"
        elif name.startswith(ENVIRONMENT_PREFIX) or name == TRACEPARENT:
            yield f"{place}.env[{index}]: {name} is set by Driftwarden; choose another name"


def _parameter_faults(document: dict[str, Any]) -> Iterator[str]:
    *outer, last = run_kind(document["apiVersion"], document["kind"]).parameters or (None,)
    if last is None:
        return
    node: Any = document
    for depth, member in enumerate(outer):
        node = node.get(member, {})
        if not isinstance(node, dict):
            yield f"{'.'.join(outer[: depth + 1])}: must be a mapping"
            return
    place, parameters = ".".join((*outer, last)), node.get(last, [])
    if not isinstance(parameters, list):
        yield f"{place}: must be a list"
        return
    for index, entry in enumerate(parameters):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            yield f"{place}[{index}]: must be a mapping with a name"
        elif name.startswith(PARAMETER_PREFIX):
            yield f"{place}[{index}]: {name} is set by Driftwarden; choose another name"


def _not_json(node: object, place: str) -> Iterator[str]:
    """YAML knows values (dates, infinities, keys that are numbers) that the Kubernetes API cannot be sent."""
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(key, str):
                yield from _not_json(value, f"{place}.{key}" if place else key)
            else:
                yield f"{place or 'top level'}: the key {key!r} must be a string; put it in quotes"
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _not_json(value, f"{place}[{index}]")
    elif not isinstance(node, str | int | float | None) or (isinstance(node, float) and not math.isfinite(node)):
        yield f"{place}: {type(node).__name__} is not a JSON value; put it in quotes"
