"""The sidecar component: what it adds to a Deployment that asks for it, and that it leaves the others alone."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from service.__main__ import cli
from service.settings import Settings
from tests.integration.manifests.kustomize import ROOT, Manifest, build
from tests.integration.manifests.objects import named, one

NAME = "driftwarden-sidecar"


@pytest.fixture(scope="module")
def manifests(kustomize: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """The example of deploy/README.md, word for word, with an inference server that asks and one that does not."""
    readme = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(# the kustomization\.yaml of an inference server\n.*?)```", readme, re.DOTALL)
    assert example is not None
    directory = tmp_path_factory.mktemp("sidecar")
    (directory / "driftwarden").symlink_to(ROOT, target_is_directory=True)
    ours = directory / "ours"
    ours.mkdir()
    (ours / "kustomization.yaml").write_text(example[1])
    both = [inference("asks", {"driftwarden.dev/sidecar": "true"}), inference("does-not", {})]
    (ours / "deployment.yaml").write_text("---\n".join(map(yaml.safe_dump, both)))
    return build(kustomize, ours)


def inference(name: str, labels: dict[str, str]) -> dict[str, Any]:
    container = {"name": "server", "image": "registry.example.com/inference:1.0.0"}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels}, "spec": spec}


@pytest.fixture
def template(manifests: list[Manifest]) -> Manifest:
    found: Manifest = named(manifests, "Deployment", "asks")["spec"]["template"]
    return found


@pytest.fixture
def sidecar(template: Manifest) -> Manifest:
    (found,) = template["spec"]["initContainers"]
    return dict(found)


@pytest.fixture
def settings(manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in one(manifests, "ConfigMap", NAME)["data"].items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_only_what_asks_for_it_gets_one(manifests: list[Manifest], template: Manifest) -> None:
    other = named(manifests, "Deployment", "does-not")["spec"]["template"]
    assert other == inference("does-not", {})["spec"]["template"]
    assert template["spec"]["containers"] == other["spec"]["containers"]
    assert template["metadata"]["labels"] == {"app": "asks", "driftwarden.dev/client": "true"}


def test_it_is_there_before_the_server_and_after_it(sidecar: Manifest) -> None:
    assert sidecar["restartPolicy"] == "Always"
    assert "/readyz" in sidecar["startupProbe"]["exec"]["command"][-1]
    assert "/livez" in sidecar["livenessProbe"]["exec"]["command"][-1]


def test_it_runs_a_command_that_there_is_and_reads_what_is_meant(sidecar: Manifest, settings: Settings) -> None:
    assert CliRunner().invoke(cli, [*sidecar["args"], "--help"]).exit_code == 0
    assert settings.forward.url == "http://driftwarden.driftwarden"
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 8090)
    assert settings.http.drain_seconds + settings.forward.flush_seconds < 30  # Kubernetes' default grace


def test_it_is_restricted_and_bounded(template: Manifest, sidecar: Manifest, settings: Settings) -> None:
    assert sidecar["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert set(sidecar["resources"]["requests"]) == {"cpu", "memory"}
    assert sidecar["resources"]["limits"] == {"memory": "384Mi"}
    volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    assert {mount["name"] for mount in sidecar["volumeMounts"]} == set(volumes)
    limit = volumes[f"{NAME}-store"]["emptyDir"]["sizeLimit"]
    assert int(limit.removesuffix("Mi")) * 2**20 > 4 * settings.forward.max_bytes
    assert volumes[f"{NAME}-access"]["secret"]["optional"] is True


def test_its_store_is_where_the_image_keeps_it(sidecar: Manifest) -> None:
    mounts = {mount["name"]: mount["mountPath"] for mount in sidecar["volumeMounts"]}
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"DRIFT_STORE__EMBEDDED_DIRECTORY={mounts[f'{NAME}-store']}\n" in dockerfile


def test_it_is_valid_for_the_oldest_kubernetes_that_is_promised(manifests: list[Manifest]) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for manifest in manifests:
        validate.validate(manifest, "1.30", strict=True)


def test_the_image_is_the_bases() -> None:
    base = (ROOT / "deploy/kustomize/base/kustomization.yaml").read_text(encoding="utf-8")
    container = (ROOT / "deploy/kustomize/components/sidecar/container.yaml").read_text(encoding="utf-8")
    assert f"image: registry.example.com/replace-me/driftwarden:{base.rpartition('newTag: ')[2].strip()}\n" in container
