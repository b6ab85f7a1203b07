"""The shipped manifests, moved to namespaces of a test's own."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

KUSTOMIZE = Path(__file__).resolve().parents[2] / "deploy" / "kustomize"
BASE = KUSTOMIZE / "base"
GUARDS = tuple(BASE / f"retraining_{name}.yaml" for name in ("quota", "network_policy", "admission"))
"""What stands around trainings besides RBAC."""


def component(name: str) -> tuple[Path, ...]:
    """What a component says of RBAC and admission, where it says something."""
    files = (KUSTOMIZE / "components" / name / f"{what}.yaml" for what in ("rbac", "admission"))
    return tuple(file for file in files if file.exists())


def moved(manifest: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """One of them, where what is in no namespace gets a name of its own."""
    text = json.dumps(manifest)
    for old, new in renamed.items():
        # Not every text with that name in it is about the namespace.
        text = text.replace(f'"namespace": "{old}"', f'"namespace": "{new}"')
        text = text.replace(f"system:serviceaccount:{old}:", f"system:serviceaccount:{new}:")
        text = text.replace(f'"expression": "\'{old}\'"', f'"expression": "\'{new}\'"')
    result: dict[str, Any] = json.loads(text)
    metadata = result["metadata"]
    if result["kind"] == "Namespace":
        metadata["name"] = renamed[metadata["name"]]
    elif "namespace" not in metadata:
        metadata["name"] = _own(metadata["name"], renamed)
    if policy := result.get("spec", {}).get("policyName"):
        result["spec"]["policyName"] = _own(policy, renamed)
    return result


def outside_of_namespaces(manifests: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Those that no namespace takes along when it ends."""
    return (each for each in manifests if each["kind"] != "Namespace" and "namespace" not in each["metadata"])


def _own(name: str, renamed: Mapping[str, str]) -> str:
    return f"{name}-{renamed['driftwarden']}"
