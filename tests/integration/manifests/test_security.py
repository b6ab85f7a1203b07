"""What a cluster's administrator would look for."""

import pytest

from tests.integration.manifests.kustomize import Manifest
from tests.integration.manifests.objects import named, one, pod_templates, selects


@pytest.fixture
def templates(documented: list[Manifest], retraining: Manifest) -> dict[str, Manifest]:
    """Everything that makes Pods: the service, its store, the trainings."""
    found = dict(pod_templates([*documented, retraining]))
    assert set(found) == {"driftwarden", "redis", "Job"}
    return found


def test_every_pod_is_restricted(templates: dict[str, Manifest]) -> None:
    for name, template in templates.items():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
        assert all("hostPath" not in volume for volume in spec.get("volumes", ())), name
        for container in [*spec["containers"], *spec.get("initContainers", ())]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_only_the_service_gets_a_token(templates: dict[str, Manifest]) -> None:
    with_token = [name for name, template in templates.items() if template["spec"]["automountServiceAccountToken"]]
    assert with_token == ["driftwarden"]


def test_every_container_has_a_memory_limit_and_requests(templates: dict[str, Manifest]) -> None:
    for name, template in templates.items():
        for container in template["spec"]["containers"]:
            assert set(container["resources"]["requests"]) >= {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name


def test_every_image_is_named_by_a_digest_or_a_tag_that_does_not_move(templates: dict[str, Manifest]) -> None:
    images = [container["image"] for template in templates.values() for container in template["spec"]["containers"]]
    for image in images:
        tag = image.rsplit("/", 1)[1].partition(":")[2]
        assert "@sha256:" in image or tag.count(".") == 2, image


def test_both_namespaces_enforce_the_restricted_level(base: list[Manifest]) -> None:
    namespaces = {each["metadata"]["name"]: each["metadata"]["labels"] for each in base if each["kind"] == "Namespace"}
    assert set(namespaces) == {"driftwarden", "driftwarden-retraining"}
    for labels in namespaces.values():
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_nothing_reaches_the_namespace_unless_a_policy_says_so(base: list[Manifest]) -> None:
    deny = named(base, "NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_only_pods_that_are_labelled_for_it_reach_a_port(documented: list[Manifest]) -> None:
    policies = [each["spec"] for each in documented if each["kind"] == "NetworkPolicy"]
    sources = [source for policy in policies for rule in policy.get("ingress", ()) for source in rule["from"]]
    assert len(sources) == 3  # the callers of the service; the service, and its workers if there are any, at the store
    for source in sources:
        assert source["podSelector"]["matchLabels"]
        assert "ipBlock" not in source


def test_a_namespace_needs_its_administrators_label_too(base: list[Manifest]) -> None:
    (rule,) = named(base, "NetworkPolicy", "driftwarden")["spec"]["ingress"]
    (source,) = rule["from"]
    assert source["namespaceSelector"] == {"matchLabels": {"driftwarden.dev/clients": "allowed"}}
    assert source["podSelector"] == {"matchLabels": {"driftwarden.dev/client": "true"}}


def test_policies_name_ports_that_the_pods_have(documented: list[Manifest], templates: dict[str, Manifest]) -> None:
    for name in ("driftwarden", "redis"):
        ports = [port["name"] for port in templates[name]["spec"]["containers"][0]["ports"]]
        policy = named(documented, "NetworkPolicy", name)["spec"]
        assert [port["port"] for rule in policy["ingress"] for port in rule["ports"]] == ports


def test_the_service_may_reach_its_store_and_the_api(documented: list[Manifest]) -> None:
    rules = named(documented, "NetworkPolicy", "driftwarden")["spec"]["egress"]
    open_ports = {port["port"] for rule in rules for port in rule["ports"]}
    assert open_ports == {53, 443, 6379, 6443, 26379}


@pytest.mark.parametrize(
    ("kind", "name", "of"),
    [
        ("NetworkPolicy", "driftwarden", "driftwarden"),
        ("NetworkPolicy", "redis", "redis"),
        ("PodDisruptionBudget", "driftwarden", "driftwarden"),
        ("Deployment", "driftwarden", "driftwarden"),
        ("StatefulSet", "redis", "redis"),
    ],
)
def test_selectors_find_their_pods_and_no_others(
    documented: list[Manifest], templates: dict[str, Manifest], kind: str, name: str, of: str
) -> None:
    spec = named(documented, kind, name)["spec"]
    selector = spec.get("podSelector") or spec["selector"]
    found = [pod for pod, template in templates.items() if selects(selector, template["metadata"]["labels"])]
    assert found == [of]


@pytest.mark.parametrize("name", ["driftwarden", "redis"])
def test_services_find_their_pods_and_ports(
    documented: list[Manifest], templates: dict[str, Manifest], name: str
) -> None:
    service = named(documented, "Service", name)["spec"]
    labels = templates[name]["metadata"]["labels"]
    ports = {port["name"] for port in templates[name]["spec"]["containers"][0]["ports"]}
    assert service["selector"].items() <= labels.items()
    assert {port["targetPort"] for port in service["ports"]} <= ports


def test_a_drained_node_takes_one_replica_at_a_time(base: list[Manifest]) -> None:
    budget = one(base, "PodDisruptionBudget", "driftwarden")["spec"]
    assert one(base, "Deployment", "driftwarden")["spec"]["replicas"] > budget["maxUnavailable"]
