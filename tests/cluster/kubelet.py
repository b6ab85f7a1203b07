"""What a kubelet would say of Pods: there is none, so the tests say it."""

from typing import Any

from tests.cluster.api import Cluster


def pods_of(cluster: Cluster, namespace: str, job: str) -> list[dict[str, Any]]:
    return cluster.items(f"/api/v1/namespaces/{namespace}/pods?labelSelector=batch.kubernetes.io/job-name={job}")


def end_pod(cluster: Cluster, pod: dict[str, Any], phase: str) -> None:
    """`Succeeded` or `Failed`; the real Job controller draws its conclusion."""
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status?fieldManager=kubelet&force=true"
    said = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": metadata["name"]}, "status": {"phase": phase}}
    cluster.request("PATCH", path, said)
