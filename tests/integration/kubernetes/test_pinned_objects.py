"""What is in the cluster must be what was pinned there (case 55), as a real API server gives it."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from service.__main__ import cli
from service.adapters.cluster_objects import KubernetesObjects
from service.adapters.kubernetes_credentials import Kubeconfig
from service.domain.errors import VettingUnavailable
from service.domain.retraining.gate import Check, Evidence, Refusal
from service.domain.retraining.pinned import ObjectName
from service.run_sources import read_sources
from service.settings import TriggerSettings
from service.usecases.vet_run import VetRun
from tests.cluster.api import Cluster, write_kubeconfig
from tests.cluster.fixtures import Account
from tests.processes.vetted import IMAGE
from tests.unit.service.adapters.trigger.requests import retrain_request

pytestmark = pytest.mark.anyio

SCRIPTS = ObjectName("v1", "ConfigMap", "scripts")


@dataclass
class Pinned:
    """A suspended CronJob and a ConfigMap that its Job reads, pinned as `driftwarden pin` says."""

    cluster: Cluster
    namespace: str
    entry: dict[str, Any]
    vet: VetRun

    async def found(self) -> Evidence | Refusal:
        return await self.vet.vet(retrain_request(), None)

    async def refused(self) -> tuple[Check, str]:
        refusal = await self.found()
        assert isinstance(refusal, Refusal)
        return refusal.check, refusal.reason

    def apply(self, manifest: dict[str, Any]) -> None:
        self.cluster.apply([manifest], self.namespace)

    def delete(self, manifest: dict[str, Any]) -> None:
        self.cluster.request("DELETE", self.cluster.path_of(manifest, self.namespace))


def cron_job(*, image: str = IMAGE, suspend: bool = True, schedule: str = "0 0 1 1 *") -> dict[str, Any]:
    pod = {"restartPolicy": "Never", "containers": [{"name": "train", "image": image}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "retrain-fraud"},
        "spec": {
            "schedule": schedule,
            "suspend": suspend,
            "jobTemplate": {"spec": {"template": {"spec": pod}}},
        },
    }


def scripts(text: str = "print('train')") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "scripts"}, "data": {"train.py": text}}


@pytest.fixture
async def pinned(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Pinned]:
    namespace = f"pinned-{secrets.token_hex(4)}"
    cluster.create_namespace(namespace)
    cluster.apply([cron_job(), scripts()], namespace)
    arguments = ["pin", "--cron-job", "retrain-fraud", "--also", "v1/ConfigMap/scripts", "--namespace", namespace]
    told = await asyncio.to_thread(CliRunner().invoke, cli, [*arguments, "--kubeconfig", str(cluster.kubeconfig)])
    assert told.exit_code == 0, told.output
    entry = yaml.safe_load(told.stdout)
    file = tmp_path / "retrainings.yaml"
    file.write_text(yaml.safe_dump({"retrainings": {"*": entry}}))
    settings = TriggerSettings(kind="kubernetes", retrainings=file)
    sources = read_sources(settings, namespace, None, lambda: datetime.now(UTC))
    async with KubernetesObjects(Kubeconfig(str(cluster.kubeconfig)), namespace) as objects:
        yield Pinned(cluster, namespace, entry, VetRun(sources.source_of, objects, enforced=False))
    cluster.delete_namespace(namespace)


async def test_what_was_pinned_passes_until_what_it_runs_is_edited(pinned: Pinned) -> None:
    evidence = await pinned.found()
    assert isinstance(evidence, Evidence)
    assert (evidence.template_digest, list(evidence.images)) == (pinned.entry["cron_job"]["digest"], [IMAGE])
    pinned.apply(cron_job(suspend=False, schedule="@yearly"))
    assert isinstance(await pinned.found(), Evidence), "neither its schedule nor its suspension is what a Job runs"
    pinned.apply(cron_job(image=IMAGE.replace("retrain@", "evil@")))
    assert await pinned.refused() == (Check.TEMPLATE, "object_changed")
    pinned.apply(cron_job())
    assert isinstance(await pinned.found(), Evidence)
    pinned.delete(cron_job())
    assert await pinned.refused() == (Check.TEMPLATE, "object_not_found")


async def test_a_script_that_is_pinned_is_looked_at_too(pinned: Pinned) -> None:
    pinned.apply(scripts("print('evil')"))
    assert await pinned.refused() == (Check.TEMPLATE, "object_changed")
    pinned.delete(scripts())
    assert await pinned.refused() == (Check.TEMPLATE, "object_not_found")


def test_an_image_that_is_not_by_digest_is_not_pinned(cluster: Cluster) -> None:
    namespace = f"pinned-{secrets.token_hex(4)}"
    cluster.create_namespace(namespace)
    cluster.apply([cron_job(image="registry.example/retrain:latest")], namespace)
    arguments = ["pin", "--cron-job", "retrain-fraud", "-n", namespace, "--kubeconfig", str(cluster.kubeconfig)]
    told = CliRunner().invoke(cli, arguments)
    assert told.exit_code == 1
    assert "is not a name with @sha256" in str(told.exception)
    cluster.delete_namespace(namespace)


async def test_who_may_not_look_refuses_nothing(account: Account) -> None:
    async with KubernetesObjects(Kubeconfig(str(account.kubeconfig)), account.retraining_namespace) as objects:
        with pytest.raises(VettingUnavailable, match="403"):
            await objects.read(ObjectName("v1", "Secret", "anything"))


async def test_a_kind_that_is_not_there_yet_refuses_nothing(cluster: Cluster) -> None:
    async with KubernetesObjects(Kubeconfig(str(cluster.kubeconfig)), "default") as objects:
        for version, kind in (("v1", "Unheard"), ("unheard.example/v1", "Of")):
            with pytest.raises(VettingUnavailable):
                await objects.read(ObjectName(version, kind, "x"))


async def test_a_cluster_that_is_away_refuses_nothing(tmp_path: Path, cluster: Cluster) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    async with KubernetesObjects(Kubeconfig(str(tmp_path / "kubeconfig")), "default") as objects:
        with pytest.raises(VettingUnavailable, match="could not be asked"):
            await objects.read(SCRIPTS)


class _Odd(BaseHTTPRequestHandler):
    """A proxy in front of an API server, whose answers end too soon; or an object that nests without end."""

    answer = b""

    def do_GET(self) -> None:
        known = {"resources": [{"kind": "ConfigMap", "name": "configmaps", "namespaced": True}]}
        body = json.dumps(known).encode() if self.path == "/api/v1" else self.answer
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the standard library's name
        """Nothing."""


@pytest.mark.parametrize("answer", [b'{"kind": "ConfigMap", "data": {"tr', b"[" * 100_000 + b"]" * 100_000])
async def test_an_answer_that_is_no_object_refuses_nothing(
    tmp_path: Path, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Odd, "answer", answer)
    server = HTTPServer(("127.0.0.1", 0), _Odd)
    serving = Thread(target=server.serve_forever)
    serving.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        file = write_kubeconfig(tmp_path / "kubeconfig", url, tmp_path / "none", {})
        text = yaml.safe_load(file.read_text())
        del text["clusters"][0]["cluster"]["certificate-authority"]
        file.write_text(yaml.safe_dump(text))
        async with KubernetesObjects(Kubeconfig(str(file)), "default") as objects:
            with pytest.raises(VettingUnavailable, match=r"does not tell of ConfigMap scripts \(200\)"):
                await objects.read(SCRIPTS)
    finally:
        await asyncio.to_thread(server.shutdown)
        serving.join()
        server.server_close()
