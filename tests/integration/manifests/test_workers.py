"""Taking rows and judging them apart: what each half may do, is asked and is called by."""

from typing import Any

import pytest
from click.testing import CliRunner

from service.__main__ import cli
from service.settings import Settings
from tests.integration.manifests.kustomize import ROOT, Manifest
from tests.integration.manifests.objects import named, pod_templates, selects

WORKER, INGEST = "driftwarden-worker", "driftwarden"


@pytest.fixture
def templates(split: list[Manifest]) -> dict[str, Manifest]:
    found = dict(pod_templates(split))
    assert set(found) == {WORKER, INGEST, "redis"}
    return found


def container(template: Manifest) -> dict[str, Any]:
    (found,) = template["spec"]["containers"]
    return dict(found)


def test_each_half_runs_a_command_that_there_is(templates: dict[str, Manifest]) -> None:
    commands = {name: container(templates[name])["args"] for name in (WORKER, INGEST)}
    assert commands == {WORKER: ["worker"], INGEST: ["serve", "--ingest-only"]}
    for arguments in commands.values():
        assert CliRunner().invoke(cli, [*arguments, "--help"]).exit_code == 0


def test_both_run_the_same_image_with_the_same_settings_and_files(templates: dict[str, Manifest]) -> None:
    worker, ingest = container(templates[WORKER]), container(templates[INGEST])
    for field in ("image", "envFrom", "securityContext"):
        assert worker[field] == ingest[field], field
    assert [mount for mount in ingest["volumeMounts"] if mount["name"] != "callers-access"] == worker["volumeMounts"]
    worker, ingest = templates[WORKER]["spec"], templates[INGEST]["spec"]
    for field in ("securityContext", "enableServiceLinks"):
        assert worker[field] == ingest[field], field
    # Whom the service knows is nothing to a worker, which is called by nobody.
    of_callers = {"name": "callers-access", "secret": {"secretName": "driftwarden-access", "optional": True}}
    assert [*worker["volumes"], of_callers] == ingest["volumes"]


def test_every_pod_is_restricted(templates: dict[str, Manifest]) -> None:
    for template in templates.values():
        assert template["spec"]["securityContext"]["runAsNonRoot"] is True
        assert container(template)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container(template)["resources"]["limits"]


def test_each_half_has_a_token_for_its_own_work_and_no_other(
    split: list[Manifest], templates: dict[str, Manifest]
) -> None:
    tokens = {name for name, template in templates.items() if template["spec"]["automountServiceAccountToken"]}
    assert tokens == {WORKER, INGEST}
    accounts = {name: templates[name]["spec"]["serviceAccountName"] for name in tokens}
    bound = {
        binding["roleRef"]["name"]: [subject["name"] for subject in binding["subjects"]]
        for binding in split
        if binding["kind"] in {"RoleBinding", "ClusterRoleBinding"}
    }
    assert bound == {"driftwarden-retraining": [accounts[WORKER]], "system:auth-delegator": [accounts[INGEST]]}
    assert len(set(accounts.values())) == 2


def test_a_worker_listens_where_it_is_asked(templates: dict[str, Manifest]) -> None:
    worker = container(templates[WORKER])
    assert worker["ports"] == [{"name": "http", "containerPort": Settings().worker.port}]
    probes = {name: worker[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probes == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    assert worker["readinessProbe"]["timeoutSeconds"] > 2 * Settings().store.timeout_seconds


def test_a_worker_has_time_to_stop(templates: dict[str, Manifest]) -> None:
    assert templates[WORKER]["spec"]["terminationGracePeriodSeconds"] > Settings().http.drain_seconds


@pytest.mark.parametrize("kind", ["Deployment", "PodDisruptionBudget", "NetworkPolicy"])
@pytest.mark.parametrize("name", [WORKER, INGEST])
def test_selectors_find_their_pods_and_no_others(
    split: list[Manifest], templates: dict[str, Manifest], kind: str, name: str
) -> None:
    spec = named(split, kind, name)["spec"]
    selector = spec.get("podSelector") or spec["selector"]
    assert [pod for pod, each in templates.items() if selects(selector, each["metadata"]["labels"])] == [name]


def test_rows_are_sent_to_those_that_take_them(split: list[Manifest], templates: dict[str, Manifest]) -> None:
    selector = named(split, "Service", INGEST)["spec"]["selector"]
    labels = {name: template["metadata"]["labels"] for name, template in templates.items()}
    assert [name for name, each in labels.items() if selector.items() <= each.items()] == [INGEST]


def test_both_may_reach_the_store_and_it_may_be_reached_by_both(
    split: list[Manifest], templates: dict[str, Manifest]
) -> None:
    egress = {name: named(split, "NetworkPolicy", name)["spec"]["egress"] for name in (WORKER, INGEST)}
    assert egress[WORKER] == egress[INGEST]
    (rule,) = named(split, "NetworkPolicy", "redis")["spec"]["ingress"]
    for name in (WORKER, INGEST):
        labels = templates[name]["metadata"]["labels"]
        assert any(selects(each["podSelector"], labels) for each in rule["from"])


def test_a_drained_node_takes_one_of_each_at_a_time(split: list[Manifest]) -> None:
    for name in (WORKER, INGEST):
        budget = named(split, "PodDisruptionBudget", name)["spec"]
        assert named(split, "Deployment", name)["spec"]["replicas"] > budget["maxUnavailable"]


def test_the_image_that_is_replaced_is_the_bases() -> None:
    base = (ROOT / "deploy/kustomize/base/kustomization.yaml").read_text(encoding="utf-8")
    worker = (ROOT / "deploy/kustomize/components/workers/deployment.yaml").read_text(encoding="utf-8")
    tag = base.rpartition("newTag: ")[2].strip()
    assert f"image: registry.example.com/replace-me/driftwarden:{tag}\n" in worker
