"""Template and request in, manifest out."""

import copy
import json
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.trigger.manifest import MAXIMUM_FEATURES_BYTES, render
from service.adapters.trigger.template import SHIPPED_TEMPLATE, Template, parse_template, read_template
from service.domain.models import model_name
from tests.unit.service.adapters.trigger.requests import retrain_request

JOB = """
apiVersion: batch/v1
kind: Job
metadata:
  labels: {team: pricing}
  annotations: {note: ours}
spec:
  template:
    spec:
      initContainers:
        - {name: fetch}
      containers:
        - {name: train, env: [{name: MODE, value: full}]}
        - {name: upload}
"""
WORKFLOW = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {}
spec:
  entrypoint: train
  templates: [{name: train, container: {image: example}}]
"""


@pytest.fixture
def job() -> Template:
    return parse_template(JOB, "training")


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"]}


def test_the_object_has_the_requests_name_and_the_configured_namespace(job: Template) -> None:
    metadata = render(job, retrain_request())["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("retrain-churn-7-0123456789", "training")


def test_only_allow_listed_labels_and_annotations_are_added(job: Template) -> None:
    metadata = render(job, retrain_request())["metadata"]
    assert metadata["labels"] == {
        "team": "pricing",
        "app.kubernetes.io/managed-by": "driftwarden",
        "driftwarden.dev/model": "churn",
        "driftwarden.dev/verdict": "7",
    }
    assert metadata["annotations"] == {
        "note": "ours",
        "driftwarden.dev/reference-digest": "sha256:" + "a" * 64,
        "driftwarden.dev/plan-digest": "sha256:" + "b" * 64,
        "driftwarden.dev/window-start": "2026-03-01T11:30:00Z",
        "driftwarden.dev/window-end": "2026-03-01T12:00:00.250000Z",
        "driftwarden.dev/drifted-features": '["tenure", "monthly charges"]',
        "driftwarden.dev/traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }


def test_every_container_is_told_what_drifted_after_its_own_environment(job: Template) -> None:
    added = {
        "DRIFTWARDEN_MODEL": "churn",
        "DRIFTWARDEN_VERDICT": "7",
        "DRIFTWARDEN_WINDOW_START": "2026-03-01T11:30:00Z",
        "DRIFTWARDEN_WINDOW_END": "2026-03-01T12:00:00.250000Z",
        "DRIFTWARDEN_REFERENCE_DIGEST": "sha256:" + "a" * 64,
        "DRIFTWARDEN_DRIFTED_FEATURES": '["tenure", "monthly charges"]',
        "TRACEPARENT": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    pod = render(job, retrain_request())["spec"]["template"]["spec"]
    assert environment(pod["initContainers"][0]) == added
    assert environment(pod["containers"][0]) == {"MODE": "full", **added}
    assert pod["containers"][0]["env"][0]["name"] == "MODE"
    assert environment(pod["containers"][1]) == added


def test_without_a_trace_nothing_is_said_about_one(job: Template) -> None:
    manifest = render(job, retrain_request(traceparent=None))
    assert "driftwarden.dev/traceparent" not in manifest["metadata"]["annotations"]
    assert "TRACEPARENT" not in environment(manifest["spec"]["template"]["spec"]["containers"][0])


def test_an_object_without_a_pod_template_is_left_as_it_is() -> None:
    template = parse_template(WORKFLOW, "training")
    manifest = render(template, retrain_request())
    assert manifest["spec"] == template.document["spec"]
    assert manifest["metadata"]["labels"]["driftwarden.dev/model"] == "churn"


def test_rendering_leaves_the_template_and_earlier_manifests_alone(job: Template) -> None:
    before = copy.deepcopy(job.document)
    first = render(job, retrain_request())
    unchanged = copy.deepcopy(first)
    render(job, retrain_request(verdict_number=8))["spec"]["template"]["spec"]["containers"][0]["env"].clear()
    assert job.document == before
    assert first == unchanged


def test_equal_requests_give_equal_manifests(job: Template) -> None:
    assert render(job, retrain_request()) == render(job, retrain_request())


def test_times_are_told_in_utc(job: Template) -> None:
    start = datetime(2026, 3, 1, 13, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    manifest = render(job, retrain_request(window_start=start))
    assert manifest["metadata"]["annotations"]["driftwarden.dev/window-start"] == "2026-03-01T07:30:00Z"


def test_a_feature_named_like_a_variable_reference_is_not_expanded(job: Template) -> None:
    manifest = render(job, retrain_request(drifted_features=("$(DB_PASSWORD)",)))
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    assert environment(container)["DRIFTWARDEN_DRIFTED_FEATURES"] == '["$$(DB_PASSWORD)"]'
    assert manifest["metadata"]["annotations"]["driftwarden.dev/drifted-features"] == '["$(DB_PASSWORD)"]'


@given(st.lists(st.text(max_size=200), max_size=300))
def test_drifted_features_stay_a_json_list_within_bounds_and_keep_the_largest_effects(features: list[str]) -> None:
    manifest = render(read_template(SHIPPED_TEMPLATE, "training"), retrain_request(drifted_features=tuple(features)))
    told = manifest["metadata"]["annotations"]["driftwarden.dev/drifted-features"]
    assert len(told.encode()) <= MAXIMUM_FEATURES_BYTES
    kept = json.loads(told)
    assert kept == features[: len(kept)]
    assert len(kept) == len(features) or len(json.dumps(features[: len(kept) + 1])) + 4 > MAXIMUM_FEATURES_BYTES


LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)


@given(st.from_regex(LABEL, fullmatch=True), st.integers(min_value=1, max_value=2**63))
def test_label_values_are_valid_for_every_model_and_verdict(model: str, number: int) -> None:
    request = retrain_request(model=model_name(model), verdict_number=number)
    labels = render(parse_template(WORKFLOW, "training"), request)["metadata"]["labels"]
    assert all(LABEL.fullmatch(value) for value in labels.values())
