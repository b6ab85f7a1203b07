"""The service as a process: each model's runs are of the kind that the retrainings file names for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from service.demo.service_process import running_service
from service.pin_command import Asked, pin
from tests.cluster.api import Cluster, load_manifests
from tests.cluster.fixtures import Account
from tests.cluster.kubelet import end_pod, pods_of
from tests.conformance.ports.test_runs import JOB
from tests.integration.kubernetes.test_other_kinds import ARGO, RETRAINING, TEKTON, Kind
from tests.processes.waiting import eventually

OTHERS = {"of-workflows": ARGO, "of-pipeline-runs": TEKTON}
JOBS = "/apis/batch/v1/namespaces/{namespace}/jobs"
PLAN = {"window": {"rows": 50}, "response": {"approval": "manual"}}
REFERENCE = {"features": ["a"], "rows": [[number / 100] for number in range(200)]}


@dataclass(frozen=True, slots=True)
class Service:
    """Its client, and what it has made."""

    client: httpx.Client
    account: Account

    def made(self, model: str) -> dict[str, Any]:
        """The only object of the model's kind."""
        path = OTHERS[model].collection if model in OTHERS else JOBS
        [document] = self.account.cluster.items(path.format(namespace=self.account.retraining_namespace))
        return document

    def retraining(self, model: str) -> dict[str, Any]:
        return dict(self.client.get(f"/v1/models/{model}/retrainings").raise_for_status().json())

    def is_at(self, model: str, phase: str) -> bool:
        underway = self.retraining(model)["underway"]
        return underway is not None and underway["phase"] == phase

    def end(self, model: str) -> None:
        """As the controller of the kind would, or the kubelet of the Job's Pod."""
        cluster, namespace, name = self.account.cluster, self.account.retraining_namespace, self.name(model)
        if model in OTHERS:
            report_success(cluster, OTHERS[model], namespace, name, self.made(model))
            return
        [pod] = eventually(lambda: pods_of(cluster, namespace, name), "the controller has made the Pod")
        end_pod(cluster, pod, "Succeeded")

    def name(self, model: str) -> str:
        return str(self.made(model)["metadata"]["name"])


def report_success(cluster: Cluster, kind: Kind, namespace: str, name: str, made: dict[str, Any]) -> None:
    said = {
        "apiVersion": made["apiVersion"],
        "kind": made["kind"],
        "metadata": {"name": name},
        "status": kind.succeeded,
    }
    path = f"{kind.collection.format(namespace=namespace)}/{name}{kind.status_path}?fieldManager=controller&force=true"
    cluster.request("PATCH", path, said)


@pytest.fixture
def service(defined: Cluster, account: Account, tmp_path: Path) -> Iterator[Service]:
    namespace = account.retraining_namespace
    job = yaml.safe_load(JOB.replace("image: example", "image: example@sha256:" + "0" * 64))
    schedule = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": job["spec"]}}
    cron_job = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "retrain"}, "spec": schedule}
    referred = [each for kind in OTHERS.values() for each in load_manifests(RETRAINING / kind.referred)]
    for manifest in (cron_job, *referred):
        manifest["metadata"]["namespace"] = namespace
    defined.apply([cron_job, *referred])
    named = {model: pinned(RETRAINING / kind.template, None, account) for model, kind in OTHERS.items()}
    retrainings = {"retrainings": {"*": pinned(None, "retrain", account), **named}}
    file = tmp_path / "retrainings.yaml"
    file.write_text(yaml.safe_dump(retrainings), encoding="utf-8")
    settings = {
        "DRIFT_TRIGGER__KIND": "kubernetes",
        "DRIFT_TRIGGER__VETTING": "advisory",
        "DRIFT_TRIGGER__RETRAININGS": str(file),
        "DRIFT_TRIGGER__KUBECONFIG": str(defined.kubeconfig),
        "DRIFT_TRIGGER__NAMESPACE": namespace,
        "DRIFT_EVALUATION__POLL_SECONDS": "0.1",
    }
    with (
        running_service(tmp_path, **settings) as url,
        httpx.Client(base_url=url, timeout=30, trust_env=False) as client,
    ):
        yield Service(client, account)


def pinned(template: Path | None, cron_job: str | None, account: Account) -> dict[str, Any]:
    """As `driftwarden pin` writes it."""
    kubeconfig = account.cluster.kubeconfig
    entry = yaml.safe_load(pin(Asked(template, cron_job, (), account.retraining_namespace, kubeconfig, None)))
    return dict(entry)


def test_runs_of_every_kind_are_started_released_and_followed_to_their_end(service: Service) -> None:
    models = ("of-jobs", *OTHERS)
    for model in models:
        service.client.put(f"/v1/models/{model}/reference", json=REFERENCE).raise_for_status()
        service.client.put(f"/v1/models/{model}/plan", json=PLAN).raise_for_status()
        service.client.post(f"/v1/models/{model}/retrainings", json={"reason": "$(evil) {{evil}}"}).raise_for_status()
    for model in models:
        eventually(lambda model=model: service.is_at(model, "SUSPENDED"), f"{model} waits for somebody")
        document = service.made(model)
        assert service.retraining(model)["underway"]["run"] == document["metadata"]["name"]
        assert document["metadata"]["labels"]["driftwarden.dev/model"] == model
        assert "evil" not in str(document)
        service.client.post(f"/v1/models/{model}/retrainings/{service.name(model)}/release").raise_for_status()
        assert not service.made(model)["spec"].get("suspend")
        assert "status" not in service.made(model)["spec"]
    for model in models:
        service.end(model)
        eventually(lambda model=model: service.retraining(model)["underway"] is None, f"{model} has ended")
        entries = service.retraining(model)["entries"]
        steps = [entry["step"] for entry in reversed(entries)]
        assert steps == ["ASKED", "PERMITTED", "STARTED", "RELEASED", "ENDED"]
        assert entries[0]["progress"] == "SUCCEEDED"
        assert service.made(model)["metadata"]["uid"] == entries[2]["receipt"]["uid"]
