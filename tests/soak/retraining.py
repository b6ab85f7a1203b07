"""One drift event, three replicas, an API server that fails in every way, and SIGKILL between any two steps: one Job.

Each round is a model with one window that drifts. Nothing stands in for anything: the API server is real, with all
that is shipped around trainings, and the gate is whole, with a dataset that is signed and vetted, and events that are
signed.
"""

import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import yaml
from redis import Redis

from service.adapters.artifacts.elliptic_keys import EllipticKey
from service.adapters.trigger.template import SHIPPED_TEMPLATE
from service.domain.retraining.record import Line, Step, first_break, read
from tests.cluster.api import write_kubeconfig
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fault_proxy import Fault, faults_before
from tests.cluster.fixtures import Account
from tests.integration.kubernetes.guarded import guarded_account
from tests.integration.store.senders import WINDOW, register
from tests.processes.dying_workers import DyingWorkers, dying_workers
from tests.processes.services import ServiceProcess
from tests.processes.stores import StoreServer
from tests.processes.traffic import SMALL_PLAN, payload, rows
from tests.processes.vetted import Vetted
from tests.processes.waiting import eventually
from tests.soak.figures import Figure

REPLICAS = 3
TOGETHER = 10
"""Rounds under way at once."""
LATEST = 800
"""Of the steps at which a worker dies: by then it has settled several events."""
FAULTY = 0.5
"""Share of the requests that something befalls."""
SETTINGS = {
    "DRIFT_EVALUATION__POLL_SECONDS": "0.1",
    "DRIFT_EVALUATION__CLAIM_SECONDS": "0.2",
    "DRIFT_TRIGGER__KIND": "kubernetes",
    "DRIFT_TRIGGER__TIMEOUT_SECONDS": "1.0",
    "DRIFT_TRIGGER__FIRST_RETRY_SECONDS": "0.05",
    "DRIFT_TRIGGER__LONGEST_RETRY_SECONDS": "0.5",
}


@dataclass
class Found:
    """What the rounds came to."""

    rounds: int = 0
    kills: int = 0
    not_one_job: int = 0
    """Rounds with no Job, several, or another than the record says; and Jobs of no round."""
    not_one_entry: int = 0
    """Rounds that were not permitted once and started once, in a whole chain."""
    befallen: Counter[Fault] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Scene:
    """What the rounds go on in."""

    client: httpx.Client
    store: Redis
    account: Account


def retrain_through_faults(
    make_service: Callable[..., ServiceProcess],
    store: StoreServer,
    control_plane: ControlPlane,
    directory: Path,
    rounds: int,
    seed: int,
    latest: int = LATEST,
) -> Found:
    """Every event has become one Job when this returns, or what it found says how many have not."""
    found, generator = Found(), np.random.default_rng(seed)
    with ExitStack() as stack:
        account = stack.enter_context(guarded_account(control_plane.cluster, directory / "account"))
        proxy = stack.enter_context(faults_before(control_plane.cluster, _chance(int(generator.integers(2**31)))))
        through = write_kubeconfig(
            directory / "through-faults", proxy.url, account.cluster.ca_file, {"tokenFile": str(_token_file(account))}
        )
        settings = {"DRIFT_STORE__URL": store.url, **SETTINGS, **_sources(directory, account, through)}
        ingest = make_service("serve", "--ingest-only", DRIFT_STORE__URL=store.url)
        ingest.start()
        scene = Scene(stack.enter_context(ingest.client()), stack.enter_context(store.client()), account)
        seeds = [int(each) for each in generator.integers(2**31, size=REPLICAS)]
        with _replicas(directory, settings, seeds, latest) as statuses:
            Rounds(scene, found).go_through(rounds)
        found.kills, found.befallen = len(statuses), proxy.befallen
    return found


def figures_of(found: Found) -> Iterator[Figure]:
    what = f"{found.rounds} drift events, {REPLICAS} replicas"
    yield Figure("R9", f"rounds that did not end with exactly one Job, {what}", found.not_one_job, "rounds", at_most=0)
    yield Figure("R9", "rounds not permitted once and started once", found.not_one_entry, "rounds", at_most=0)
    yield Figure("R9", "replicas killed between two steps", found.kills, "kills")
    for fault, count in sorted(found.befallen.items()):
        yield Figure("R9", f"requests to the API server: {fault.value.lower().replace('_', ' ')}", count, "requests")


def _token_file(account: Account) -> Path:
    return account.kubeconfig.with_name("token")


def _sources(directory: Path, account: Account, kubeconfig: Path) -> dict[str, str]:
    """The shipped template, which makes no Pods here, and a dataset that was vetted."""
    folder = directory / "vetted"
    folder.mkdir()
    vetted = Vetted(folder)
    job: dict[str, Any] = yaml.safe_load(SHIPPED_TEMPLATE.read_text(encoding="utf-8"))
    job["spec"]["parallelism"] = 0
    vetted.template.write_text(yaml.safe_dump(job))
    vetted.say()
    key = directory / "service.pem"
    EllipticKey.new("P-256").write(key, None)
    return {
        "DRIFT_TRIGGER__KUBECONFIG": str(kubeconfig),
        "DRIFT_TRIGGER__NAMESPACE": account.retraining_namespace,
        "DRIFT_TRIGGER__RETRAININGS": str(vetted.file),
        "DRIFT_TRIGGER__SIGNING_KEY_FILE": str(key),
    }


def _chance(seed: int) -> Callable[[str, str], Fault]:
    """One fault is as likely as another."""
    generator, faults = np.random.default_rng(seed), [fault for fault in Fault if fault is not Fault.NONE]
    return lambda _, __: faults[generator.integers(len(faults))] if generator.random() < FAULTY else Fault.NONE


@contextmanager
def _replicas(directory: Path, settings: dict[str, str], seeds: Sequence[int], latest: int) -> Iterator[list[int]]:
    """Each dies at a random step, and another begins in its place; their statuses."""
    statuses: list[int] = []

    def live(workers: DyingWorkers, seed: int) -> None:
        generator = np.random.default_rng(seed)
        status: int | None = -signal.SIGKILL
        while status == -signal.SIGKILL:
            status = workers.live(int(generator.integers(1, latest + 1)), after=bool(generator.integers(2)))
            if status is not None:
                statuses.append(status)

    with ExitStack() as stack:
        logs = [directory / f"replica-{number}.log" for number in range(len(seeds))]
        replicas = [stack.enter_context(dying_workers(log, settings)) for log in logs]
        threads = [threading.Thread(target=live, args=each) for each in zip(replicas, seeds, strict=True)]
        for thread in threads:
            thread.start()
        try:
            yield statuses
        finally:
            for replica in replicas:
                replica.end()
            for thread in threads:
                thread.join()
    assert set(statuses) <= {-signal.SIGKILL}, "a life ended by itself: see its log"


@dataclass
class Rounds:
    """Some at once; each is cleared away when no request of it can be on its way any more: so many rounds later."""

    scene: Scene
    found: Found
    under_way: deque[str] = field(default_factory=deque)
    settled: deque[str] = field(default_factory=deque)

    def go_through(self, rounds: int) -> None:
        for number in range(rounds):
            self._begin(f"round-{number}", number)
            while len(self.under_way) >= TOGETHER:
                self._look()
        while self.under_way:
            self._look()
        while self.settled:
            self._clear(self.settled.popleft())
        left = [job for job in self.scene.account.jobs() if "deletionTimestamp" not in job["metadata"]]
        self.found.not_one_job += len(left)  # of no round, or made late

    def _begin(self, model: str, number: int) -> None:
        register(self.scene.client, model, SMALL_PLAN)
        body = payload(rows(number, WINDOW, shift=3.0))
        self.scene.client.post(f"/v1/models/{model}/observations", json=body).raise_for_status()
        self.under_way.append(model)

    def _look(self) -> None:
        """At all that are under way, once one of them is settled."""
        done = eventually(self._settled, f"one of {list(self.under_way)} is settled", timeout_s=300)
        for model in done:
            self.under_way.remove(model)
            self.settled.append(model)
            self.found.rounds += 1
            self.found.not_one_entry += not _is_whole(self.scene.store, model)
            self.found.not_one_job += not _is_the_one(self.scene.store, model, self._jobs(model))
        while len(self.settled) > 2 * TOGETHER:
            self._clear(self.settled.popleft())

    def _settled(self) -> list[str]:
        return [model for model in self.under_way if _is_settled(self.scene.store, model)]

    def _jobs(self, model: str) -> list[dict[str, Any]]:
        account = self.scene.account
        asked = f"labelSelector=driftwarden.dev/model={model}"
        return account.cluster.items(f"/apis/batch/v1/namespaces/{account.retraining_namespace}/jobs?{asked}")

    def _clear(self, model: str) -> None:
        """Look once more, for what was made late."""
        jobs = self._jobs(model)
        self.found.not_one_job += len(jobs) != 1
        self.scene.client.delete(f"/v1/models/{model}").raise_for_status()
        for job in jobs:
            metadata = job["metadata"]
            path = f"/apis/batch/v1/namespaces/{metadata['namespace']}/jobs/{metadata['name']}"
            self.scene.account.cluster.request("DELETE", f"{path}?propagationPolicy=Background")


def _is_settled(store: Redis, model: str) -> bool:
    return any(line.entry.step is Step.STARTED for line in _record(store, model))


def _record(store: Redis, model: str) -> list[Line]:
    return [read(fields[b"e"]) for _, fields in store.xrange(f"driftwarden:{{{model}}}:retraining")]


def _is_whole(store: Redis, model: str) -> bool:
    lines = _record(store, model)
    steps = Counter(line.entry.step for line in lines)
    return first_break(lines) is None and (steps[Step.PERMITTED], steps[Step.STARTED]) == (1, 1)


def _is_the_one(store: Redis, model: str, made: Sequence[dict[str, Any]]) -> bool:
    started = [line.entry for line in _record(store, model) if line.entry.step is Step.STARTED]
    recorded = [(entry.run, entry.receipt.uid) for entry in started if entry.receipt is not None]
    return recorded == [(job["metadata"]["name"], job["metadata"]["uid"]) for job in made]
