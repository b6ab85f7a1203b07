"""What decides what runs is pinned, and what is run is found wherever it stands."""

import copy
from typing import Any

import pytest

from service.domain.retraining.pinned import Image, ObjectName, digest_of, images, json_digest, references

BY_DIGEST = "registry.example/retrain@sha256:" + "0" * 64
CRON_JOB = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "retrain", "resourceVersion": "7", "managedFields": [{"manager": "kubectl"}]},
    "spec": {
        "schedule": "0 0 31 2 *",
        "suspend": True,
        "jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "train", "image": BY_DIGEST}]}}}},
    },
    "status": {"lastScheduleTime": "2026-01-01T00:00:00Z"},
}


def edited(path: str, value: Any, document: Any = CRON_JOB) -> Any:
    changed = copy.deepcopy(document)
    node = changed
    *outer, last = path.split(".")
    for member in outer:
        node = node[int(member) if member.isdigit() else member]
    node[last] = value
    return changed


def test_a_digest_is_of_the_canonical_json() -> None:
    assert json_digest({"b": 1, "a": ["ü"]}) == json_digest({"a": ["ü"], "b": 1})
    assert json_digest({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of {}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.resourceVersion", "8"),
        ("status.lastScheduleTime", "2026-02-01T00:00:00Z"),
        ("spec.suspend", False),
        ("spec.schedule", "@daily"),
    ],
)
def test_what_does_not_change_what_a_cron_job_runs_does_not_change_its_digest(path: str, value: Any) -> None:
    assert digest_of(edited(path, value)) == digest_of(CRON_JOB)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.jobTemplate.spec.template.spec.containers.0.image", "evil"),
        ("spec.jobTemplate.spec.template.spec.serviceAccountName", "admin"),
        ("spec.jobTemplate.spec.template.spec.containers.0.env", [{"name": "LD_PRELOAD", "value": "/evil.so"}]),
        ("spec.jobTemplate.metadata", {"labels": {"kueue.x-k8s.io/queue-name": "other"}}),
        ("spec.jobTemplate", None),
    ],
)
def test_whatever_changes_what_it_runs_does(path: str, value: Any) -> None:
    assert digest_of(edited(path, value)) != digest_of(CRON_JOB)


def test_of_other_kinds_all_counts_but_for_metadata_and_status() -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"uid": "1"}, "data": {"train.py": "ok"}}
    assert digest_of(edited("metadata.uid", "2", config)) == digest_of(config)
    assert digest_of(edited("data", {"train.py": "evil"}, config)) != digest_of(config)
    assert digest_of(edited("binaryData", {"lib.so": ""}, config)) != digest_of(config)


def test_of_another_groups_cron_job_all_counts() -> None:
    theirs = {**CRON_JOB, "apiVersion": "example.com/v1"}
    assert digest_of(edited("spec.image", "evil", theirs)) != digest_of(theirs)


WORKFLOW = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"labels": {"image": "not-one"}},
    "spec": {
        "workflowTemplateRef": {"name": "retrain"},
        "templates": [
            {"container": {"image": "a:1"}, "initContainers": [{"image": "b:1"}], "sidecars": [{"image": "c:1"}]},
            {"script": {"image": "d:1"}, "containerSet": {"containers": [{"image": "e:1"}]}},
            {"dag": {"tasks": [{"templateRef": {"name": "steps", "template": "x", "clusterScope": True}}]}},
            {"steps": [[{"templateRef": {"name": "other", "template": "y"}}]]},
            {"resource": {"action": "create", "manifest": "kind: Pod"}},
            {"podSpecPatch": "containers: [{name: main, image: evil}]"},
            {"resource": {"action": "create", "manifestFrom": {"artifact": {"name": "pod", "s3": {"key": "evil"}}}}},
        ],
        "volumes": [{"image": {"reference": "f:1"}}],
    },
}


def test_images_are_found_wherever_containers_are() -> None:
    assert [image.name for image in images(WORKFLOW)] == ["a:1", "b:1", "c:1", "e:1", "d:1", None, None, None, "f:1"]
    assert images(WORKFLOW)[0].place == "spec.templates[0].container.image"
    assert not any(image.is_by_digest for image in images(WORKFLOW))
    pod = {"spec": {"initContainers": [{"image": BY_DIGEST}], "containers": [{"image": BY_DIGEST}]}}
    assert [image.is_by_digest for image in images({"spec": {"template": pod}})] == [True, True]


@pytest.mark.parametrize(
    "name",
    [
        "train",
        "train:latest",
        "train@sha256:" + "0" * 63,
        "train@sha256:" + "A" * 64,
        "@sha256:" + "0" * 64,
        "{{inputs.parameters.image}}@sha256:" + "0" * 64,
        "$(params.image)@sha256:" + "0" * 64,
        BY_DIGEST + "\n",
        "evil@" + BY_DIGEST,
    ],
)
def test_only_a_name_with_a_digest_is_by_digest(name: str) -> None:
    assert not Image("", name).is_by_digest


def test_references_of_argo_and_tekton_are_found() -> None:
    assert [str(each.named) for each in references(WORKFLOW)] == [
        "ClusterWorkflowTemplate steps",
        "WorkflowTemplate other",
        "WorkflowTemplate retrain",
    ]
    run = {
        "spec": {
            "pipelineRef": {"name": "retrain"},
            "pipelineSpec": {
                "tasks": [
                    {"taskRef": {"name": "fetch", "kind": "ClusterTask", "apiVersion": "tekton.dev/v1beta1"}},
                    {"taskSpec": {"steps": [{"ref": {"name": "train"}}]}},
                ]
            },
        }
    }
    assert [each.named for each in references(run)] == [
        ObjectName("tekton.dev/v1", "Pipeline", "retrain"),
        ObjectName("tekton.dev/v1beta1", "ClusterTask", "fetch"),
        ObjectName("tekton.dev/v1beta1", "StepAction", "train"),
    ]


@pytest.mark.parametrize(
    "reference", [{"resolver": "git"}, {"resolver": "hub", "name": "x"}, {"bundle": "r/x:1", "name": "x"}, {"name": 3}]
)
def test_a_reference_to_what_is_not_an_object_here_names_none(reference: dict[str, object]) -> None:
    assert [each.named for each in references({"spec": {"pipelineRef": reference}})] == [None]


def test_a_document_may_be_deep() -> None:
    document: Any = {"image": "deep:1"}
    for _ in range(20_000):
        document = {"a": [document]}
    assert [image.name for image in images(document)] == ["deep:1"]
