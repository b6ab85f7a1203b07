"""The components around retraining, over the base: what they change, and that they go together."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from service.settings import Settings
from tests.integration.manifests.kustomize import ROOT, Manifest, build
from tests.integration.manifests.objects import named, one

HEAD = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
POLICY = "ValidatingAdmissionPolicy"


@pytest.fixture(scope="module")
def built(kustomize: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Builds the base with components."""

    def with_components(*names: str, more: str = "", files: Sequence[str] = ()) -> list[Manifest]:
        directory = tmp_path_factory.mktemp("components")
        (directory / "driftwarden").symlink_to(ROOT, target_is_directory=True)
        ours = directory / "ours"
        ours.mkdir()
        base = {"resources": ["../driftwarden/deploy/kustomize/base"]}
        components = [f"../driftwarden/deploy/kustomize/components/{name}" for name in names]
        head = HEAD | base | ({} if more else {"components": components})
        (ours / "kustomization.yaml").write_text(yaml.safe_dump(head) + more)
        for file in files:
            (ours / file).write_text("{}\n")
        return build(kustomize, ours)

    return with_components


def rules(manifests: list[Manifest], name: str = "driftwarden-retraining") -> list[tuple[str, list[str], list[str]]]:
    found = named(manifests, "Role", name)["rules"]
    return [(rule["apiGroups"][0], rule["resources"], rule["verbs"]) for rule in found]


WATCHED = ["create", "get", "list", "watch"]


@pytest.mark.parametrize(
    ("component", "group", "kind", "read"),
    [
        ("argo_workflow", "argoproj.io", "workflows", ["workflowtemplates"]),
        ("tekton_pipelinerun", "tekton.dev", "pipelineruns", ["pipelines", "tasks"]),
    ],
)
def test_another_kind_takes_the_place_of_jobs(
    built: Any, component: str, group: str, kind: str, read: list[str]
) -> None:
    manifests = built(component, "approval")
    assert rules(manifests) == [(group, [kind], WATCHED), (group, read, ["get"])]
    assert f"count/{kind}.{group}" in named(manifests, "ResourceQuota", "driftwarden-retraining")["spec"]["hard"]
    policies = [each for each in manifests if each["kind"] == POLICY]
    assert any(each["spec"]["matchConstraints"]["resourceRules"][0]["resources"] == [kind] for each in policies)


def test_a_cron_job_may_be_read_by_its_name_alone(built: Any) -> None:
    manifests = built("cron_job")
    assert rules(manifests) == [("batch", ["jobs"], WATCHED)]
    (rule,) = named(manifests, "Role", "driftwarden-retraining-cron-job")["rules"]
    assert rule["resourceNames"] == ["retraining"]


def test_every_policy_is_bound_and_denies(built: Any) -> None:
    manifests = built("argo_workflow", "approval", "cron_job")
    policies = {each["metadata"]["name"] for each in manifests if each["kind"] == POLICY}
    bindings = [each["spec"] for each in manifests if each["kind"] == f"{POLICY}Binding"]
    assert len(policies) == 3
    assert {each["policyName"] for each in bindings} == policies
    assert {tuple(each["validationActions"]) for each in bindings} == {("Deny",)}


def test_policies_are_for_the_account_that_the_pods_have(built: Any) -> None:
    for components in (("workers", "argo_workflow", "approval"), ("tekton_pipelinerun",)):
        manifests = built(*components)
        judge = "driftwarden-worker" if "workers" in components else "driftwarden"
        account = named(manifests, "Deployment", judge)["spec"]["template"]["spec"]["serviceAccountName"]
        for policy in (each for each in manifests if each["kind"] == POLICY):
            (condition,) = policy["spec"]["matchConditions"]
            assert condition["expression"].endswith(f" == 'system:serviceaccount:driftwarden:{account}'")


@pytest.fixture(scope="module")
def vetted(built: Any) -> list[Manifest]:
    """The example of deploy/README.md, word for word, and workers of their own."""
    readme = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(# with datasets that are vetted.*?)```", readme, re.DOTALL)
    assert example is not None
    workers = "components:\n  - ../driftwarden/deploy/kustomize/components/workers\n"
    files = re.findall(r"^ {6}- ([\w-]+\.yaml)", example[1], re.MULTILINE)
    assert files
    found: list[Manifest] = built(more=example[1].replace("components:\n", workers), files=files)
    return found


def test_the_service_sees_what_its_files_name(vetted: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in one(vetted, "ConfigMap", "driftwarden-settings")["data"].items():
        monkeypatch.setenv(name, value)
    key = Settings().trigger.signing_key_file
    assert key is not None
    named_there = (ROOT / "deploy" / "retraining" / "retrainings.yaml").read_text(encoding="utf-8")
    keys = [PurePosixPath(file) for file in re.findall(r"/etc/driftwarden/keys/\S+", named_there)]
    assert {file.name for file in keys} == one(vetted, "ConfigMap", "driftwarden-retraining-keys")["data"].keys()
    (dataset,) = re.findall(r"path: (/datasets\S*)", named_there)
    for name in ("driftwarden", "driftwarden-worker"):
        pod = named(vetted, "Deployment", name)["spec"]["template"]["spec"]
        places = {PurePosixPath(mount["mountPath"]): mount for mount in pod["containers"][0]["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for kind, place in (
            ("secret", PurePosixPath(key).parent),
            ("configMap", keys[0].parent),
            ("persistentVolumeClaim", PurePosixPath(dataset).parent),
        ):
            assert places[place]["readOnly"] is True
            assert kind in volumes[places[place]["name"]]
        keys_of_pod = volumes[places[keys[0].parent]["name"]]["configMap"]["name"]
        assert keys_of_pod == one(vetted, "ConfigMap", "driftwarden-retraining-keys")["metadata"]["name"]
