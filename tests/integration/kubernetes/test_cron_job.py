"""A Job that is cut from a CronJob in the cluster, as long as that is what it was pinned to."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import yaml

from service.adapters.kubernetes_credentials import Kubeconfig
from service.adapters.trigger.kubernetes_object import KubernetesObjectTrigger
from service.adapters.trigger.template import CronJobTemplate
from service.domain.errors import TriggerRejected, TriggerUnavailable
from service.domain.models import TriggerOutcome, TriggerReceipt
from service.domain.retraining.gate import Evidence
from service.domain.retraining.pinned import CRON_JOB, ObjectName, Pin, digest_of
from service.domain.retraining.run import Order
from tests.cluster.fixtures import Account
from tests.unit.service.adapters.trigger.requests import retrain_request

pytestmark = pytest.mark.anyio

REQUEST = retrain_request()
PATH = "/apis/batch/v1/namespaces/{namespace}/cronjobs/retrain"
CRON_JOB_TEXT = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: retrain, labels: {team: platform}}
spec:
  schedule: "0 0 1 1 *"
  suspend: true
  successfulJobsHistoryLimit: 0
  jobTemplate:
    metadata: {labels: {team: pricing}, annotations: {note: ours}}
    spec:
      backoffLimit: 1
      template:
        spec:
          restartPolicy: Never
          containers: [{name: train, image: "registry.example/train", env: [{name: MODE, value: full}]}]
"""
MAY_READ_IT = """
- apiVersion: rbac.authorization.k8s.io/v1
  kind: Role
  metadata: {name: read-cron-job}
  rules: [{apiGroups: [batch], resources: [cronjobs], resourceNames: [retrain], verbs: [get]}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: read-cron-job}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: read-cron-job}
  subjects: [{kind: ServiceAccount, name: driftwarden}]
"""


@dataclass(frozen=True, slots=True)
class Pinned:
    """A CronJob that the shipped account may read, and an order that was permitted with it."""

    account: Account
    order: Order
    pin: Pin

    async def fire(self) -> TriggerReceipt:
        made_from = CronJobTemplate(self.pin, self.account.retraining_namespace)
        async with KubernetesObjectTrigger(made_from, Kubeconfig(str(self.account.kubeconfig))) as trigger:
            return await trigger.fire(self.order)

    @property
    def path(self) -> str:
        return PATH.format(namespace=self.account.retraining_namespace)

    def edit(self, **changes: Any) -> None:
        """Members of `spec`, as somebody with kubectl."""
        document = self.account.cluster.request("GET", self.path)
        document["spec"] |= changes
        self.account.cluster.request("PUT", self.path, document)

    def job_template(self) -> dict[str, Any]:
        template: dict[str, Any] = self.account.cluster.request("GET", self.path)["spec"]["jobTemplate"]
        return template


@pytest.fixture
def pinned(account: Account) -> Pinned:
    cluster, namespace = account.cluster, account.retraining_namespace
    cluster.apply([yaml.safe_load(CRON_JOB_TEXT)], namespace)
    role, binding = yaml.safe_load(MAY_READ_IT)
    binding["subjects"][0]["namespace"] = account.service_namespace
    cluster.apply([role, binding], namespace)
    digest = digest_of(cluster.request("GET", PATH.format(namespace=namespace)))
    return Pinned(account, Order(REQUEST, Evidence(digest)), Pin(ObjectName("batch/v1", CRON_JOB, "retrain"), digest))


async def test_a_job_is_cut_from_it_and_told_what_every_job_is_told(pinned: Pinned) -> None:
    outcomes = [(await pinned.fire()).outcome for _ in range(2)]
    assert outcomes == [TriggerOutcome.CREATED, TriggerOutcome.ALREADY_EXISTS]
    [job] = pinned.account.jobs()
    metadata, container = job["metadata"], job["spec"]["template"]["spec"]["containers"][0]
    assert (metadata["labels"]["team"], metadata["annotations"]["note"]) == ("pricing", "ours")
    assert metadata["labels"]["driftwarden.dev/model"] == "churn"
    assert (job["spec"]["backoffLimit"], container["image"]) == (1, "registry.example/train")
    assert container["env"][0] == {"name": "MODE", "value": "full"}
    assert {"name": "DRIFTWARDEN_DRIFT_EVENT", "value": REQUEST.name} in container["env"]


async def test_the_job_is_not_the_cron_jobs_to_delete(pinned: Pinned) -> None:
    """Which keeps none of those that have succeeded, here; and a name that is free again is started again."""
    await pinned.fire()
    [job] = pinned.account.jobs()
    assert "ownerReferences" not in job["metadata"]


async def test_its_schedule_and_its_labels_do_not_count(pinned: Pinned) -> None:
    pinned.edit(schedule="5 5 5 5 *", failedJobsHistoryLimit=7)
    assert (await pinned.fire()).outcome is TriggerOutcome.CREATED


async def test_once_its_template_is_edited_nothing_is_started(pinned: Pinned) -> None:
    template = pinned.job_template()
    template["spec"]["template"]["spec"]["containers"][0]["image"] = "evil.example/miner"
    pinned.edit(jobTemplate=template)
    with pytest.raises(
        TriggerRejected, match=r"CronJob retrain is sha256:[0-9a-f]{64}, and sha256:[0-9a-f]{64} is pin"
    ):
        await pinned.fire()
    assert pinned.account.jobs() == []


async def test_what_was_started_before_the_edit_is_found(pinned: Pinned) -> None:
    """As after an answer that was lost: whether the Job is there decides, not what it would be made from now."""
    made = await pinned.fire()
    template = pinned.job_template()
    template["spec"]["backoffLimit"] = 0
    pinned.edit(jobTemplate=template)
    found = await pinned.fire()
    assert (found.outcome, found.uid, found.manifest_digest) == (TriggerOutcome.ALREADY_EXISTS, made.uid, "")


async def test_what_was_started_before_it_was_deleted_is_found(pinned: Pinned) -> None:
    made = await pinned.fire()
    pinned.account.cluster.request("DELETE", pinned.path)
    found = await pinned.fire()
    assert (found.outcome, found.uid) == (TriggerOutcome.ALREADY_EXISTS, made.uid)


async def test_what_was_permitted_with_another_digest_is_not_started(pinned: Pinned) -> None:
    other = replace(pinned, order=Order(REQUEST, Evidence("sha256:" + "0" * 64)))
    with pytest.raises(TriggerRejected, match=r"the template is sha256:.* now, and sha256:0{64} was permitted"):
        await other.fire()
    assert pinned.account.jobs() == []


async def test_what_we_say_of_a_job_it_may_not_say(pinned: Pinned) -> None:
    template = pinned.job_template()
    template["metadata"]["labels"]["driftwarden.dev/model"] = "fraud"
    pinned.edit(jobTemplate=template)
    digest = digest_of(pinned.account.cluster.request("GET", pinned.path))
    anew = replace(pinned, order=Order(REQUEST, Evidence(digest)), pin=replace(pinned.pin, digest=digest))
    with pytest.raises(TriggerRejected, match=r"CronJob retrain: metadata.labels\[driftwarden.dev/model\]: is set by"):
        await anew.fire()


async def test_without_it_runs_wait(pinned: Pinned) -> None:
    pinned.account.cluster.request("DELETE", pinned.path)
    with pytest.raises(TriggerUnavailable, match=r"get CronJob retrain \(404\)"):
        await pinned.fire()
