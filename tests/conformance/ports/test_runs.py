"""What is promised of the runs in a target: each is told in every state, none is forgotten, and one is let go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import anyio
import pytest

from service.adapters.kubernetes_credentials import Kubeconfig
from service.adapters.trigger.kubernetes_object import KubernetesObjectTrigger
from service.adapters.trigger.kubernetes_runs import KubernetesRuns
from service.adapters.trigger.run_kind import Objects
from service.adapters.trigger.template import Template, parse_template
from service.domain.errors import StoreUnavailable, TriggerRejected, TriggerUnavailable
from service.domain.models import model_name
from service.domain.retraining.run import Progress, RunSeen
from service.ports import Runs
from tests.cluster.fixtures import Account
from tests.cluster.kubelet import end_pod, pods_of
from tests.processes.waiting import eventually_async
from tests.unit.service.adapters.trigger.requests import order, retrain_request

pytestmark = pytest.mark.anyio

CHURN = model_name("churn")
RUN = retrain_request().name
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: train
          image: example
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A namespace, what makes runs in it and what watches them; the watch holds no more than the shipped Role."""

    account: Account
    template: Template
    trigger: KubernetesObjectTrigger
    runs: KubernetesRuns

    async def start(self, name: str = RUN, *, suspended: bool = False) -> None:
        await self.trigger.fire(order(retrain_request(name=name), self.template, suspended=suspended))

    async def end(self, phase: str, name: str = RUN) -> None:
        cluster, namespace = self.account.cluster, self.account.retraining_namespace
        pods = await eventually_async(
            lambda: asyncio.to_thread(pods_of, cluster, namespace, name), "the controller has made the Pod"
        )
        await asyncio.to_thread(end_pod, cluster, pods[0], phase)

    async def delete(self, name: str = RUN) -> None:
        path = f"/apis/batch/v1/namespaces/{self.account.retraining_namespace}/jobs/{name}?propagationPolicy=Background"
        await asyncio.to_thread(self.account.cluster.request, "DELETE", path)


@dataclass(slots=True)
class Told:
    """What a watch tells, in order."""

    seen: list[RunSeen] = field(default_factory=list)

    async def take(self, seen: RunSeen) -> None:
        self.seen.append(seen)

    def of(self, name: str = RUN) -> list[Progress]:
        return [seen.progress for seen in self.seen if seen.name == name]

    async def until(self, *progress: Progress, name: str = RUN) -> RunSeen:
        """Once exactly this was told of a run, the last of it."""

        async def holds() -> bool:
            return self.of(name) == list(progress)

        await eventually_async(holds, f"{name} is told as {progress}, after {self.of(name)}")
        return [seen for seen in self.seen if seen.name == name][-1]


@asynccontextmanager
async def watching(runs: Runs) -> AsyncIterator[Told]:
    told = Told()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runs.watch, told.take)
        yield told
        tasks.cancel_scope.cancel()


@pytest.fixture
async def target(account: Account) -> AsyncIterator[Target]:
    template = parse_template(JOB, account.retraining_namespace)
    credentials = Kubeconfig(str(account.kubeconfig))
    async with (
        KubernetesObjectTrigger(template, credentials) as trigger,
        KubernetesRuns([template.objects], credentials, watch_s=2) as runs,
    ):
        yield Target(account, template, trigger, runs)


@asynccontextmanager
async def administrators_runs(target: Target) -> AsyncIterator[KubernetesRuns]:
    """Of somebody who may release them."""
    credentials = Kubeconfig(str(target.account.cluster.kubeconfig))
    async with KubernetesRuns([target.template.objects], credentials, watch_s=2) as runs:
        yield runs


async def test_a_run_is_told_when_it_is_there_and_when_it_has_succeeded(target: Target) -> None:
    async with watching(target.runs) as told:
        await target.start()
        begun = await told.until(Progress.RUNNING)
        await target.end("Succeeded")
        ended = await told.until(Progress.RUNNING, Progress.SUCCEEDED)
    assert (ended.model, ended.name, ended.uid) == (CHURN, RUN, begun.uid)
    assert ended.uid
    assert ended.at is not None
    assert abs((datetime.now(UTC) - ended.at).total_seconds()) < 3600
    assert await target.runs.look(CHURN, RUN) == ended


async def test_a_run_that_failed_says_why(target: Target) -> None:
    await target.start()
    async with watching(target.runs) as told:
        await target.end("Failed")
        failed = await told.until(Progress.RUNNING, Progress.FAILED)
    assert failed.detail == "BackoffLimitExceeded: Job has reached the specified backoff limit"


async def test_a_run_that_waits_is_let_go_on_once_and_then_runs(target: Target) -> None:
    await target.start(suspended=True)
    async with administrators_runs(target) as runs, watching(target.runs) as told:
        waiting = await told.until(Progress.SUSPENDED)
        assert waiting.at is not None
        for _ in range(2):
            await runs.release(CHURN, RUN)
        await told.until(Progress.SUSPENDED, Progress.RUNNING)
        await target.end("Succeeded")
        await told.until(Progress.SUSPENDED, Progress.RUNNING, Progress.SUCCEEDED)
        await runs.release(CHURN, RUN)


async def test_who_may_not_release_is_told_what_somebody_else_may_type(target: Target) -> None:
    await target.start(suspended=True)
    with pytest.raises(TriggerRejected) as refused:
        await target.runs.release(CHURN, RUN)
    command = f"kubectl -n {target.account.retraining_namespace} patch jobs.batch {RUN} --type merge -p "
    assert str(refused.value).endswith(command + """'{"spec": {"suspend": false}}'""")
    assert (await target.runs.look(CHURN, RUN)).progress is Progress.SUSPENDED


async def test_what_is_held_by_a_queue_is_running_and_not_ours_to_let_go(target: Target) -> None:
    queued = parse_template(JOB.replace("backoffLimit: 0", "suspend: true"), target.account.retraining_namespace)
    async with KubernetesObjectTrigger(queued, Kubeconfig(str(target.account.kubeconfig))) as trigger:
        await trigger.fire(order(retrain_request(), queued))
    async with administrators_runs(target) as runs:
        await runs.release(CHURN, RUN)
    assert (await target.runs.look(CHURN, RUN)).progress is Progress.RUNNING
    [job] = target.account.jobs()
    assert job["spec"]["suspend"] is True


async def test_a_run_that_is_deleted_before_its_end_is_gone(target: Target) -> None:
    async with watching(target.runs) as told:
        await target.start()
        await told.until(Progress.RUNNING)
        await target.delete()
        await told.until(Progress.RUNNING, Progress.GONE)
    assert (await target.runs.look(CHURN, RUN)).progress is Progress.GONE


async def test_of_a_run_that_is_deleted_after_its_end_no_more_is_told(target: Target) -> None:
    async with watching(target.runs) as told:
        await target.start()
        await target.end("Succeeded")
        await told.until(Progress.RUNNING, Progress.SUCCEEDED)
        await target.delete()
        await target.start("retrain-churn-8-later")
        await told.until(Progress.RUNNING, name="retrain-churn-8-later")
    assert told.of() == [Progress.RUNNING, Progress.SUCCEEDED]


async def test_what_happens_between_two_watches_is_told_by_the_second_and_nothing_twice(target: Target) -> None:
    for name in ("one", "two", "three"):
        await target.start(name)
    async with watching(target.runs) as told:
        for name in ("one", "two", "three"):
            await told.until(Progress.RUNNING, name=name)
    await target.delete("one")
    await target.end("Succeeded", "two")
    await target.start("four")
    async with watching(target.runs) as told:
        await told.until(Progress.GONE, name="one")
        await told.until(Progress.SUCCEEDED, name="two")
        await told.until(Progress.RUNNING, name="four")
    assert told.of("three") == []


async def test_where_the_target_has_forgotten_what_happened_everything_is_compared(target: Target) -> None:
    for name in ("one", "two"):
        await target.start(name)
    async with watching(target.runs) as told:
        for name in ("one", "two"):
            await told.until(Progress.RUNNING, name=name)
    await target.delete("one")
    await target.start("three")
    target.runs._followed[0]._version = "1"  # older than anything that an API server remembers
    async with watching(target.runs) as told:
        await told.until(Progress.GONE, name="one")
        await told.until(Progress.RUNNING, name="three")
    assert told.of("two") == []


async def test_a_listener_that_fails_is_told_again(target: Target) -> None:
    await target.start()

    async def fail(_: RunSeen) -> None:
        raise StoreUnavailable("not now")

    with pytest.raises(StoreUnavailable, match="not now"):
        await target.runs.watch(fail)
    async with watching(target.runs) as told:
        await told.until(Progress.RUNNING)


async def test_a_kind_that_is_not_there_keeps_nobody_from_seeing_the_others(target: Target) -> None:
    missing = Objects("driftwarden.example/v1", "Training", target.template.namespace)
    told = Told()
    await target.start()
    credentials = Kubeconfig(str(target.account.kubeconfig))
    async with KubernetesRuns([missing, target.template.objects], credentials, watch_s=1) as runs:
        with pytest.raises(TriggerUnavailable, match=r"look up driftwarden\.example"):
            await runs.watch(told.take)
        assert told.of() == [Progress.RUNNING]
        assert (await runs.look(CHURN, RUN)).progress is Progress.RUNNING
        with pytest.raises(TriggerUnavailable, match=r"look up driftwarden\.example"):
            await runs.look(CHURN, "none-of-that-name")  # it may be of the kind that cannot be asked about


async def test_more_runs_than_one_answer_holds_are_all_told(target: Target) -> None:
    names = [f"run-{number}" for number in range(130)]
    for start in range(0, len(names), 26):
        await asyncio.gather(*(target.start(name, suspended=True) for name in names[start : start + 26]))
    async with watching(target.runs) as told:
        for name in names:
            await told.until(Progress.SUSPENDED, name=name)


async def test_a_run_that_takes_more_than_the_drivers_reader_of_lines_bears_is_told_as_it_happens(
    target: Target,
) -> None:
    note = f"metadata: {{annotations: {{note: {'x' * 200_000}}}}}"
    large = parse_template(JOB.replace("metadata: {}", note), target.template.namespace)
    async with watching(target.runs) as told:
        await target.start("before")
        await told.until(Progress.RUNNING, name="before")
        async with KubernetesObjectTrigger(large, Kubeconfig(str(target.account.kubeconfig))) as trigger:
            await trigger.fire(order(retrain_request(), large))
        await told.until(Progress.RUNNING)


async def test_objects_that_are_not_ours_are_neither_told_nor_released(target: Target) -> None:
    metadata = {"name": "somebody-elses", "labels": {"driftwarden.dev/model": "churn"}}
    target.account.cluster.apply([{**target.template.document, "metadata": metadata}], target.template.namespace)
    await target.start()
    async with watching(target.runs) as told:
        await told.until(Progress.RUNNING)
    assert {seen.name for seen in told.seen} == {RUN}
    assert (await target.runs.look(CHURN, "somebody-elses")).progress is Progress.GONE
    for model, name in ((CHURN, "somebody-elses"), (model_name("fraud"), RUN), (CHURN, "none-of-that-name")):
        with pytest.raises(TriggerRejected, match="no run"):
            await target.runs.release(model, name)
