"""What a kubelet would say of Pods: there is none here, so tests say it in its place."""

from typing import Any, Literal

from tests.cluster.api import ApiError
from tests.cluster.fixtures import Account
from tests.processes.waiting import eventually

CONFLICT = 409


def end_pod_of(account: Account, job: str, phase: Literal["Succeeded", "Failed"]) -> None:
    """The Job's Pod, once the Job controller has made it, has come to its end."""

    def told() -> bool:
        pods = [pod for pod in account.pods() if _job_of(pod) == job and pod["status"].get("phase") == "Pending"]
        return any(_tell(account, pod, phase) for pod in pods)

    eventually(told, f"the Pod of {job} is there and may be told to have {phase.lower()}")


def _tell(account: Account, pod: dict[str, Any], phase: str) -> bool:
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
    try:
        account.cluster.request("PUT", path, {**pod, "status": {**pod["status"], "phase": phase}})
    except ApiError as error:
        if error.status == CONFLICT:  # the controller was at it
            return False
        raise
    return True


def _job_of(pod: dict[str, Any]) -> str | None:
    return str(pod["metadata"].get("labels", {}).get("batch.kubernetes.io/job-name"))
