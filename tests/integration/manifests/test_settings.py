"""What the manifests set is what the service knows, and their numbers agree with its own."""

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import pytest
from fastapi.routing import APIRoute

from service.adapters.trigger.template import parse_template
from service.app import VERSION
from service.domain.access import Verb
from service.http.routes import operations
from service.settings import Settings
from service.telemetry.metrics import Metrics
from tests.integration.manifests.kustomize import ROOT, Manifest
from tests.integration.manifests.objects import named, one

KNOWN = {
    f"DRIFT_{group}__{name}".upper()
    for group, field in Settings.model_fields.items()
    for name in field.annotation.model_fields  # type: ignore[union-attr]
}


def _environment_of_image() -> dict[str, str]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    return dict(re.findall(r"\b(DRIFT_\w+)=([^\s\\]+)", text))


@pytest.fixture
def environment(base: list[Manifest]) -> dict[str, str]:
    """What the process finds: the image's variables, and the ConfigMap's over them."""
    return _environment_of_image() | one(base, "ConfigMap", "driftwarden-settings")["data"]


@pytest.fixture
def settings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_every_variable_is_a_setting(environment: dict[str, str], container: Manifest) -> None:
    written = {variable["name"] for variable in container.get("env", [])} | set(environment)
    assert written
    assert written <= KNOWN


def test_the_example_of_the_readme_uses_settings_only(documented: list[Manifest]) -> None:
    assert set(one(documented, "ConfigMap", "driftwarden-settings")["data"]) <= KNOWN


def test_the_service_reads_what_is_meant(settings: Settings) -> None:
    assert settings.trigger.kind == "kubernetes"
    assert settings.http.host == "0.0.0.0"  # noqa: S104 - inside a Pod, behind a network policy


def test_a_pod_has_time_to_drain(settings: Settings, pod: Manifest, container: Manifest) -> None:
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause + settings.http.drain_seconds < pod["spec"]["terminationGracePeriodSeconds"]


def test_the_readiness_probe_waits_longer_than_the_service_waits_for_its_store(
    settings: Settings, container: Manifest
) -> None:
    # The driver tries a second time on a connection that was closed.
    assert container["readinessProbe"]["timeoutSeconds"] > 2 * settings.store.timeout_seconds


def test_probes_ask_for_routes_that_there_are() -> None:
    async def ready() -> None: ...

    routes = operations.routes(ready, lambda: None, Metrics(1, 1)).routes
    assert {"/livez", "/readyz", "/readyz/integrity", "/metrics"} == {
        route.path for route in routes if isinstance(route, APIRoute)
    }


def test_liveness_does_not_depend_on_the_store(container: Manifest) -> None:
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    assert {probe["port"] for probe in probes.values()} == {"metrics"}  # where TLS is not spoken, whatever is set


def test_the_container_listens_where_it_says(settings: Settings, container: Manifest) -> None:
    assert container["ports"] == [
        {"name": "http", "containerPort": settings.http.port},
        {"name": "metrics", "containerPort": settings.http.metrics_port},
    ]
    exposed = re.search(r"^EXPOSE (\d+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert exposed is not None
    assert int(exposed[1]) == settings.http.port


def test_the_store_is_where_the_settings_say(settings: Settings, documented: list[Manifest]) -> None:
    url = urlsplit(settings.store.url or "")
    port = named(documented, "Service", url.hostname or "")["spec"]["ports"][0]
    assert (url.scheme, url.port) == ("redis", port["port"])


def test_what_runs_are_made_from_is_mounted_where_the_settings_say(
    settings: Settings, pod: Manifest, base: list[Manifest]
) -> None:
    assert settings.trigger.retrainings is not None
    retrainings = PurePosixPath(settings.trigger.retrainings)
    mounts = {
        PurePosixPath(mount["mountPath"]): mount["name"] for mount in pod["spec"]["containers"][0]["volumeMounts"]
    }
    volumes = {
        volume["name"]: volume["configMap"]["name"] for volume in pod["spec"]["volumes"] if "configMap" in volume
    }
    mounted = one(base, "ConfigMap", "driftwarden-retraining-template")
    assert volumes[mounts[retrainings.parent]] == mounted["metadata"]["name"]
    assert retrainings.name in mounted["data"]
    assert parse_template(mounted["data"]["job.yaml"], settings.trigger.namespace or "").kind == "Job"


def test_the_service_may_create_jobs_where_it_will(settings: Settings, pod: Manifest, base: list[Manifest]) -> None:
    binding = one(base, "RoleBinding", "driftwarden-retraining")
    assert binding["metadata"]["namespace"] == settings.trigger.namespace
    subject = {"kind": "ServiceAccount", "name": pod["spec"]["serviceAccountName"], "namespace": "driftwarden"}
    assert binding["subjects"] == [subject]
    assert pod["spec"]["automountServiceAccountToken"] is True


def test_the_image_is_of_this_version(container: Manifest) -> None:
    assert container["image"].endswith(f"/driftwarden:{VERSION}")


def test_the_files_of_a_store_are_mounted_where_the_readme_says_and_need_not_be_there(
    pod: Manifest, container: Manifest
) -> None:
    secrets = {volume["name"]: volume["secret"] for volume in pod["spec"]["volumes"] if "secret" in volume}
    assert secrets == {
        "store-access": {"secretName": "driftwarden-store", "optional": True},
        "callers-access": {"secretName": "driftwarden-access", "optional": True},
    }
    readme = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    for name, variables in (
        ("store-access", r"DRIFT_STORE__\w+_FILE"),
        ("callers-access", r"DRIFT_(?!STORE|FORWARD)\w+_FILE"),
    ):
        mount = next(mount for mount in container["volumeMounts"] if mount["name"] == name)
        assert mount["readOnly"] is True
        files = re.findall(rf"({variables})=(\S+)", readme)
        assert {variable for variable, _ in files} <= KNOWN
        assert {str(PurePosixPath(path).parent) for _, path in files} == {mount["mountPath"]}


def test_callers_are_authenticated_by_roles_that_are_shipped(
    settings: Settings, pod: Manifest, base: list[Manifest]
) -> None:
    assert settings.authentication.mode == "auto"
    assert settings.authentication.kubernetes_audience == "driftwarden"
    (subject,) = one(base, "ClusterRoleBinding", "driftwarden-authentication")["subjects"]
    assert subject["name"] == pod["spec"]["serviceAccountName"]
    verbs = {
        role["metadata"]["name"]: {verb for rule in role["rules"] for verb in rule["verbs"]}
        for role in base
        if role["kind"] == "Role" and role["metadata"]["namespace"] == "driftwarden"
    }
    known = {verb.value for verb in Verb}
    assert {name.removeprefix("driftwarden-") for name in verbs} == known - {"metrics"}
    assert set.union(*verbs.values()) <= known


def test_the_readmes_audience_is_the_one_that_is_asked_for(settings: Settings) -> None:
    readme = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    assert f"audience: {settings.authentication.kubernetes_audience}\n" in readme
