"""The integrity component: what it adds to a sidecar, as deploy/README.md says to use it."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from service.settings import Settings
from tests.integration.integrity.watching import made
from tests.integration.manifests.kustomize import ROOT, Manifest, build
from tests.integration.manifests.objects import named, one

BOTH = {"driftwarden.dev/sidecar": "true", "driftwarden.dev/integrity": "true"}


@pytest.fixture(scope="module")
def manifests(kustomize: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """The example of deploy/README.md, word for word, over a server that asks for it and one that does not."""
    readme = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(# with models that are verified.*?)```", readme, re.DOTALL)
    assert example is not None
    directory = tmp_path_factory.mktemp("integrity")
    (directory / "driftwarden").symlink_to(ROOT, target_is_directory=True)
    ours = directory / "ours"
    ours.mkdir()
    model = made(directory / "model")
    (ours / "integrity.yaml").write_text(model.targets().read_text())
    (ours / "release.pub").write_bytes((model.keys / "release.pub").read_bytes())
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": ["servers.yaml"]}
    (ours / "kustomization.yaml").write_text(yaml.safe_dump(head) + example[1])
    servers = [inference("asks", BOTH), inference("does-not", {"driftwarden.dev/sidecar": "true"})]
    (ours / "servers.yaml").write_text("---\n".join(map(yaml.safe_dump, servers)))
    return build(kustomize, ours)


def inference(name: str, labels: dict[str, str]) -> dict[str, Any]:
    container = {"name": "server", "image": "registry.example.com/inference:1.0.0"}
    volumes = [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}]
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], "volumes": volumes}}
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels}, "spec": spec}


def sidecar_of(manifests: list[Manifest], name: str) -> dict[str, Any]:
    (found,) = named(manifests, "Deployment", name)["spec"]["template"]["spec"]["initContainers"]
    return dict(found)


def test_readiness_of_the_pod_is_that_of_its_models(manifests: list[Manifest]) -> None:
    sidecar = sidecar_of(manifests, "asks")
    assert "'/readyz/integrity'" in sidecar["readinessProbe"]["exec"]["command"][-1]
    assert sidecar["readinessProbe"]["failureThreshold"] == 1
    assert sidecar["restartPolicy"] == "Always"  # still the sidecar that it was
    assert "readinessProbe" not in sidecar_of(manifests, "does-not")


def test_what_it_mounts_is_there_and_cannot_be_written(
    manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    template = named(manifests, "Deployment", "asks")["spec"]["template"]["spec"]
    mounts = {mount["name"]: mount for mount in sidecar_of(manifests, "asks")["volumeMounts"]}
    assert set(mounts) <= {volume["name"] for volume in template["volumes"]}
    assert all(mounts[name]["readOnly"] for name in ("driftwarden-integrity", "models"))
    (variable,) = sidecar_of(manifests, "asks")["env"]
    monkeypatch.setenv(variable["name"], variable["value"])
    targets = Settings().integrity.targets
    assert targets is not None
    assert str(targets.parent) == mounts["driftwarden-integrity"]["mountPath"]
    (volume,) = [each for each in template["volumes"] if each["name"] == "driftwarden-integrity"]
    held = one(manifests, "ConfigMap", "driftwarden-integrity")
    assert held["metadata"]["name"] == volume["configMap"]["name"]
    assert set(held["data"]) == {targets.name, "release.pub"}


def test_it_is_valid_for_the_oldest_kubernetes_that_is_promised(manifests: list[Manifest]) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for manifest in manifests:
        validate.validate(manifest, "1.30", strict=True)
