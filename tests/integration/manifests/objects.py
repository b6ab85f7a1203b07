"""Finding one's way in a list of manifests."""

from collections.abc import Iterator

from tests.integration.manifests.kustomize import Manifest


def one(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """Give the one object; `name` may lack the hash that kustomize adds to a ConfigMap's."""
    names = [manifest for manifest in manifests if manifest["kind"] == kind]
    found = [manifest for manifest in names if manifest["metadata"]["name"].startswith(name)]
    assert len(found) == 1, f"{kind} {name}: {len(found)} of them"
    return found[0]


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """Give the object with exactly this name."""
    return next(each for each in manifests if each["kind"] == kind and each["metadata"]["name"] == name)


def pod_templates(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield the template of everything that makes Pods, by name."""
    for manifest in manifests:
        if manifest["kind"] in {"Deployment", "StatefulSet", "Job"}:
            template = manifest["spec"]["template"]
            claims = [claim["metadata"]["name"] for claim in manifest["spec"].get("volumeClaimTemplates", ())]
            # The controller of a StatefulSet adds a volume for each of its claims.
            claimed = [{"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in claims]
            spec = {**template["spec"], "volumes": [*template["spec"].get("volumes", ()), *claimed]}
            yield manifest["metadata"].get("name", manifest["kind"]), {**template, "spec": spec}


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Say whether `matchLabels` hold for the labels."""
    assert set(selector) <= {"matchLabels"}, "only matchLabels are known here"
    return selector.get("matchLabels", {}).items() <= labels.items()
