"""Valid for the oldest Kubernetes that is promised, and for the newest whose schema is at hand."""

import pytest

from tests.integration.manifests.kustomize import Manifest

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="install kubernetes-validate to check schemas")

OLDEST = "1.30"


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_every_object_is_valid_and_has_no_unknown_field(
    documented: list[Manifest], split: list[Manifest], retraining: Manifest, version: str
) -> None:
    for manifest in [*documented, *split, retraining]:
        kubernetes_validate.validate(manifest, version, strict=True)
