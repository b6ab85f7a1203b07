"""The example's manifest: its Deployment gets the sidecar, and is as restricted as ours."""

from collections.abc import Sequence

import pytest

from tests.integration.manifests.kustomize import ROOT, Manifest, build
from tests.integration.manifests.objects import one

EXAMPLE = ROOT / "examples" / "inference_pod"


@pytest.fixture(scope="module")
def manifests(kustomize: Sequence[str]) -> list[Manifest]:
    return build(kustomize, EXAMPLE / "kubernetes")


def test_the_server_hands_rows_to_the_sidecar_in_its_pod(manifests: list[Manifest]) -> None:
    pod = one(manifests, "Deployment", "tumours")["spec"]["template"]["spec"]
    (server,), (sidecar,) = pod["containers"], pod["initContainers"]
    (settings,) = [each["data"] for each in manifests if each["kind"] == "ConfigMap"]
    assert server["env"] == [
        {"name": "SIDECAR_URL", "value": f"http://{settings['DRIFT_HTTP__HOST']}:{settings['DRIFT_HTTP__PORT']}"}
    ]
    assert server["command"][1] == "application:application"
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["image"] == "registry.example.com/your-team/driftwarden:0.1.0"


def test_no_container_may_do_more_than_it_must(manifests: list[Manifest]) -> None:
    pod = one(manifests, "Deployment", "tumours")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in (*pod["containers"], *pod["initContainers"]):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]


def test_it_is_valid_for_the_oldest_kubernetes_that_is_promised(manifests: list[Manifest]) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for manifest in manifests:
        validate.validate(manifest, "1.30", strict=True)
