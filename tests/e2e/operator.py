"""Whoever runs a model, in a test of the whole way: sends rows, looks at what came of them, and writes it down."""

import re
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from tests.cluster.fixtures import Account
from tests.cluster.kubelet import end_pod, pods_of
from tests.processes.services import ServiceProcess
from tests.processes.waiting import eventually

MODEL = "/v1/models/fraud"
RETRAININGS = f"{MODEL}/retrainings"
WINDOW = 50


class Transcript:
    """What happened, for people to read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def did(self, what: str) -> None:
        self.lines.append(f"# {what}")

    def saw(self, what: str) -> None:
        self.lines += [re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1...", line) for line in what.splitlines()]

    def shape(self) -> list[str]:
        return shape(self.lines)


def shape(lines: list[str]) -> list[str]:
    """Without what is another one every time."""
    text = re.sub(r"[0-9a-f]{8}\.\.\.", "DIGEST", "\n".join(lines))
    text = re.sub(r"retrain-fraud-[\w-]+?-[0-9a-f]{10}", "RUN", text)
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|\+00:00)", "TIME", text).splitlines()


class Operator:
    """Talks to one replica, or to another if that is gone."""

    def __init__(self, account: Account, replicas: list[ServiceProcess]) -> None:
        self.account = account
        self.replicas = replicas
        self.client = replicas[0].client()
        self._seed = 10

    def turn_to(self, replica: ServiceProcess) -> None:
        self.client.close()
        self.client = replica.client()

    def hang_up(self) -> None:
        self.client.close()

    def get(self, path: str) -> Any:
        return self.client.get(path).raise_for_status().json()

    def post(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return self.client.post(path, json=body).raise_for_status()

    def send(self, count: int, shift: float) -> None:
        self._seed += 1
        values = rows(self._seed, count, shift)
        for first in range(0, count, WINDOW):
            self.post(f"{MODEL}/observations", {"rows": values[first : first + WINDOW].tolist()})

    def findings(self) -> list[str]:
        """Of all windows under the reference of now, oldest first."""
        reference = self.get(MODEL)["reference_digest"]
        newest_first = self.get(f"{MODEL}/verdicts?limit=100")["verdicts"]
        return [each["finding"] for each in reversed(newest_first) if each["reference_digest"] == reference]

    def judged(self, windows: int, shift: float) -> list[str]:
        """What is found in so many windows of rows like that."""
        before = len(self.findings())
        self.send(windows * WINDOW, shift)
        return eventually(lambda: found if len(found := self.findings()[before:]) >= windows else [], "all is judged")

    def newest_action(self) -> str | None:
        """Name of the run that the newest verdict asks for."""
        action = self.get(f"{MODEL}/verdicts?limit=1")["verdicts"][0]["action"]
        return None if action is None else str(action["name"])

    def entries(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return list(reversed(self.get(f"{RETRAININGS}?limit=100")["entries"]))

    def until(self, step: str, run: str) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            return next((each for each in self.entries() if (each["step"], each["run"]) == (step, run)), None)

        entry = eventually(found, f"{run} is {step}")
        assert entry is not None
        return entry

    def job(self, run: str) -> dict[str, Any] | None:
        return next((job for job in self.account.jobs() if job["metadata"]["name"] == run), None)

    def end(self, run: str, phase: str) -> dict[str, Any]:
        """Its Pod, which the Job controller makes, has `Succeeded` or `Failed`; the entry that says so."""
        cluster, namespace = self.account.cluster, self.account.retraining_namespace
        (pod,) = eventually(lambda: pods_of(cluster, namespace, run), f"the Pod of {run} is there")
        end_pod(cluster, pod, phase)
        return self.until("ENDED", run)

    def metric(self, name: str, **labels: str) -> float | None:
        wanted = {f'{label}="{value}"' for label, value in labels.items()}
        for line in self.client.get("/metrics").text.splitlines():
            if line.startswith(f"driftwarden_{name}{{") and all(label in line for label in wanted):
                return float(line.rsplit(" ", 1)[1])
        return None


def rows(seed: int, count: int, shift: float) -> NDArray[np.float64]:
    drawn: NDArray[np.float64] = np.random.default_rng(seed).normal(shift, 1.0, (count, 3))
    return drawn


def shown(job: dict[str, Any] | None) -> str:
    """What matters of it here."""
    assert job is not None
    container = job["spec"]["template"]["spec"]["containers"][0]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    conditions = [each["type"] for each in job["status"].get("conditions", ()) if each["status"] == "True"]
    how = "suspended" if job["spec"].get("suspend") else "released"
    ended = next((each for each in conditions if each in {"Complete", "Failed"}), "")
    dataset = f"dataset {environment['DRIFTWARDEN_DATASET_DIGEST']}"
    return ", ".join(part for part in (f"Job {job['metadata']['name']}", how, ended, dataset) if part)
