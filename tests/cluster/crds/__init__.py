"""The CustomResourceDefinitions of Argo Workflows and Tekton, as their own Go modules have them.

Argo's are the full ones, which the API server validates by; the minimal ones, which Argo installs by default, let
everything pass. What a step is, they say six times over, which takes the API server long to digest; here it is said
once, in a WorkflowTemplate's `templates`. Tekton converts its versions by a webhook of its own, which is not there:
only the stored one is served.
"""

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.binaries import cache_directory

HERE = Path(__file__).resolve().parent
ARGO, TEKTON = "github.com/argoproj/argo-workflows/v3", "github.com/tektoncd/pipeline"
FILES = {
    ARGO: [
        "manifests/base/crds/full/argoproj.io_workflows.yaml",
        "manifests/base/crds/full/argoproj.io_workflowtemplates.yaml",
    ],
    TEKTON: [f"config/300-crds/300-{kind}.yaml" for kind in ("pipelinerun", "pipeline", "task")],
}
COPIES = {
    "Workflow": [
        ("spec", "templates"),
        ("spec", "templateDefaults"),
        ("status", "storedTemplates"),
        ("status", "storedWorkflowTemplateSpec"),
    ],
    "WorkflowTemplate": [("spec", "templateDefaults")],
}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DefinitionsUnavailable(Exception):
    """They are not in Go's cache and cannot be fetched; the message is one line."""


def versions() -> dict[str, str]:
    """Which releases, by module."""
    text = (HERE / "go.mod").read_text(encoding="utf-8")
    return dict(re.findall(r"^\t(github\.com/\S+) (v\S+)$", text, re.MULTILINE))


def fetch() -> dict[str, Path]:
    """The folders of the modules, by module, verified against go.sum; from Go's cache once they are there."""
    wanted = [f"{module}@{version}" for module, version in versions().items()]
    try:
        asked = subprocess.run(
            ["go", "mod", "download", "-json", *wanted],
            cwd=HERE,
            env={**os.environ, "GOFLAGS": ""},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise DefinitionsUnavailable(
            "install Go (https://go.dev/dl) to fetch the definitions of Argo and Tekton"
        ) from error
    if asked.returncode != 0:
        said = " ".join((asked.stderr or asked.stdout).split())
        raise DefinitionsUnavailable(f"go mod download in {HERE} failed (can Go fetch modules here?): {said}")
    decoder, rest, found = json.JSONDecoder(), asked.stdout.strip(), {}
    while rest:
        module, end = decoder.raw_decode(rest)
        found[module["Path"]] = Path(module["Dir"])
        rest = rest[end:].lstrip()
    return found


def definitions() -> list[dict[str, Any]]:
    """Those that our templates are made of; kept in the cache, since reading 6 MB of YAML takes seconds."""
    digest = hashlib.sha256((HERE / "go.sum").read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]
    kept = cache_directory() / f"definitions-{digest}.json"
    if not kept.exists():
        folders = fetch()
        found = [_cut_down(folders[module] / file) for module, files in FILES.items() for file in files]
        kept.parent.mkdir(parents=True, exist_ok=True)
        written = kept.with_suffix(f".{os.getpid()}")
        written.write_text(json.dumps(found), encoding="utf-8")
        written.rename(kept)
    result: list[dict[str, Any]] = json.loads(kept.read_text(encoding="utf-8"))
    return result


def _cut_down(file: Path) -> dict[str, Any]:
    definition: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506
    spec = definition["spec"]
    spec.pop("conversion", None)
    spec["versions"] = [version for version in spec["versions"] if version["storage"]]
    schema = spec["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    for place, member in COPIES.get(spec["names"]["kind"], ()):
        schema[place]["properties"][member] = {"x-kubernetes-preserve-unknown-fields": True}
    return definition
