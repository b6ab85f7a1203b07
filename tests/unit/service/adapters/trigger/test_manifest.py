"""Template and order in, manifest out."""

import copy
import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.trigger.manifest import MAXIMUM_FEATURES_BYTES, render
from service.adapters.trigger.template import Template, parse_template
from service.domain.errors import TriggerRejected
from service.domain.models import model_name
from service.domain.retraining.gate import Evidence
from service.domain.retraining.pinned import json_digest
from service.domain.retraining.run import Order
from tests.unit.service.adapters.trigger.requests import order, retrain_request

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
  arguments: {parameters: [{name: depth, value: "3"}]}
  templates: [{name: train, container: {image: example}}]
"""
PIPELINE_RUN = """
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {}
spec: {pipelineRef: {name: train}}
"""
OTHER = "apiVersion: example.com/v1\nkind: TrainingRun\nmetadata: {}\nspec: {pipeline: full}"
EVIDENCE = Evidence(
    template_digest="sha256:" + "c" * 64,
    dataset_digest="sha256:" + "d" * 64,
    dataset_version=12,
    approver="sha256:" + "e" * 64,
    base_model_digest="sha256:" + "f" * 64,
)
FACTS = {
    "DRIFT_EVENT": "retrain-churn-7-0123456789",
    "MODEL": "churn",
    "VERDICT": "7",
    "WINDOW_START": "2026-03-01T11:30:00Z",
    "WINDOW_END": "2026-03-01T12:00:00.250000Z",
    "REFERENCE_DIGEST": "sha256:" + "a" * 64,
    "DATASET_DIGEST": "sha256:" + "d" * 64,
    "BASE_MODEL_DIGEST": "sha256:" + "f" * 64,
    "DRIFTED_FEATURES": '["tenure", "monthly charges"]',
}
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def job() -> Template:
    return parse_template(JOB, "training")


def vetted(**changes: Any) -> Order:
    return order(retrain_request(**changes), evidence=EVIDENCE)


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"]}


def of_the_first_container(manifest: dict[str, Any]) -> dict[str, str]:
    return environment(manifest["spec"]["template"]["spec"]["containers"][0])


def test_the_object_has_the_requests_name_and_the_configured_namespace(job: Template) -> None:
    metadata = render(job, vetted())["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("retrain-churn-7-0123456789", "training")


def test_only_allow_listed_labels_and_annotations_are_added(job: Template) -> None:
    metadata = render(job, vetted())["metadata"]
    assert metadata["labels"] == {
        "team": "pricing",
        "app.kubernetes.io/managed-by": "driftwarden",
        "driftwarden.dev/model": "churn",
        "driftwarden.dev/verdict": "7",
    }
    assert metadata["annotations"] == {
        "note": "ours",
        "driftwarden.dev/drift-event": "retrain-churn-7-0123456789",
        "driftwarden.dev/reference-digest": "sha256:" + "a" * 64,
        "driftwarden.dev/plan-digest": "sha256:" + "b" * 64,
        "driftwarden.dev/template-digest": "sha256:" + "c" * 64,
        "driftwarden.dev/dataset-digest": "sha256:" + "d" * 64,
        "driftwarden.dev/dataset-version": "12",
        "driftwarden.dev/approver": "sha256:" + "e" * 64,
        "driftwarden.dev/base-model-digest": "sha256:" + "f" * 64,
        "driftwarden.dev/window-start": "2026-03-01T11:30:00Z",
        "driftwarden.dev/window-end": "2026-03-01T12:00:00.250000Z",
        "driftwarden.dev/drifted-features": '["tenure", "monthly charges"]',
        "driftwarden.dev/traceparent": TRACEPARENT,
    }


def test_every_container_is_told_after_its_own_environment(job: Template) -> None:
    added = {**{f"DRIFTWARDEN_{name}": value for name, value in FACTS.items()}, "TRACEPARENT": TRACEPARENT}
    pod = render(job, vetted())["spec"]["template"]["spec"]
    assert environment(pod["initContainers"][0]) == added
    assert environment(pod["containers"][0]) == {"MODE": "full", **added}
    assert pod["containers"][0]["env"][0]["name"] == "MODE"
    assert environment(pod["containers"][1]) == added


@pytest.mark.parametrize(
    ("text", "place", "before"),
    [
        (WORKFLOW, ("spec", "arguments", "parameters"), {"depth": "3"}),
        (PIPELINE_RUN, ("spec", "params"), {}),
    ],
)
def test_kinds_with_parameters_are_told_by_parameters(
    text: str, place: tuple[str, ...], before: dict[str, str]
) -> None:
    template = parse_template(text, "training")
    told: Any = render(template, vetted())
    for member in place:
        told = told[member]
    added = {f"driftwarden-{name.lower().replace('_', '-')}": value for name, value in FACTS.items()}
    assert {each["name"]: each["value"] for each in told} == {**before, **added, "driftwarden-traceparent": TRACEPARENT}


def test_the_page_names_all_that_a_run_is_told() -> None:
    page = (Path(__file__).resolve().parents[5] / "docs" / "runs.md").read_text(encoding="utf-8")
    written_out = page.replace("`..._END`", "`DRIFTWARDEN_WINDOW_END`").replace("`...-end`", "`driftwarden-window-end`")
    named = set(re.findall(r"`(DRIFTWARDEN_[A-Z_]+|TRACEPARENT|driftwarden-[a-z-]+)`", written_out))
    variables = {f"DRIFTWARDEN_{name}" for name in FACTS} | {"TRACEPARENT"}
    assert named == variables | {f"driftwarden-{name.lower().replace('_', '-')}" for name in (*FACTS, "TRACEPARENT")}


def test_what_is_not_known_has_no_annotation_and_an_empty_fact(job: Template) -> None:
    manifest = render(job, order(retrain_request(traceparent=None)))
    for name in ("traceparent", "dataset-digest", "dataset-version", "approver", "base-model-digest"):
        assert f"driftwarden.dev/{name}" not in manifest["metadata"]["annotations"]
    told = of_the_first_container(manifest)
    assert (told["DRIFTWARDEN_DATASET_DIGEST"], told["DRIFTWARDEN_BASE_MODEL_DIGEST"]) == ("", "")
    assert "TRACEPARENT" not in told


def test_an_object_of_another_kind_without_a_pod_template_is_left_as_it_is() -> None:
    template = parse_template(OTHER, "training")
    manifest = render(template, vetted())
    assert manifest["spec"] == template.document["spec"]
    assert manifest["metadata"]["labels"]["driftwarden.dev/model"] == "churn"


@pytest.mark.parametrize(
    ("text", "member", "value"),
    [(JOB, "suspend", True), (WORKFLOW, "suspend", True), (PIPELINE_RUN, "status", "PipelineRunPending")],
)
def test_what_is_to_wait_is_made_waiting_and_says_for_whom(text: str, member: str, value: object) -> None:
    template = parse_template(text, "training")
    waiting = render(template, order(retrain_request(), suspended=True))
    assert waiting["spec"][member] == value
    assert waiting["metadata"]["annotations"]["driftwarden.dev/approval"] == "manual"
    at_once = render(template, order(retrain_request()))
    assert member not in at_once["spec"]
    assert "driftwarden.dev/approval" not in at_once["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (OTHER, "TrainingRun cannot wait"),
        (JOB.replace("team: pricing", "kueue.x-k8s.io/queue-name: gpus"), "lets Kueue release"),
    ],
)
def test_what_cannot_be_made_to_wait_for_somebody_is_not_started(text: str, reason: str) -> None:
    template = parse_template(text, "training")
    with pytest.raises(TriggerRejected, match=reason):
        render(template, order(retrain_request(), suspended=True))
    render(template, order(retrain_request()))


def test_rendering_leaves_the_template_and_earlier_manifests_alone(job: Template) -> None:
    before = copy.deepcopy(job.document)
    first = render(job, vetted())
    unchanged = copy.deepcopy(first)
    render(job, vetted(verdict_number=8))["spec"]["template"]["spec"]["containers"][0]["env"].clear()
    assert job.document == before
    assert first == unchanged


def test_equal_orders_give_equal_manifests_and_others_have_another_digest(job: Template) -> None:
    manifest = render(job, vetted())
    assert render(job, vetted()) == manifest
    assert json_digest(render(job, vetted())) == json_digest(manifest)
    assert json_digest(render(job, vetted(verdict_number=8))) != json_digest(manifest)


def test_times_are_told_in_utc(job: Template) -> None:
    start = datetime(2026, 3, 1, 13, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    manifest = render(job, vetted(window_start=start))
    assert manifest["metadata"]["annotations"]["driftwarden.dev/window-start"] == "2026-03-01T07:30:00Z"


@pytest.mark.parametrize(
    "feature",
    [
        "$(DB_PASSWORD)",
        "{{workflow.parameters.secret}}",
        "{{=sprig.env('TOKEN')}}",
        "$(tasks.fetch.results.token)",
        "'; rm -rf / #",
        "`id`",
        'a", "b',
        "a\\nLD_PRELOAD=/tmp/x",
        "\u2028\U0001f600",
    ],
)
@pytest.mark.parametrize("text", [JOB, WORKFLOW, PIPELINE_RUN])
def test_nobody_takes_a_features_name_for_more_than_a_text(text: str, feature: str) -> None:
    manifest = render(parse_template(text, "training"), vetted(drifted_features=(feature,)))
    told = manifest["metadata"]["annotations"]["driftwarden.dev/drifted-features"]
    assert json.loads(told) == [feature]
    assert re.fullmatch(r'\["([A-Za-z0-9 _.,:;/@%+=-]|\\u[0-9a-f]{4})*"\]', told)
    assert told in texts(manifest["spec"])


@given(st.lists(st.text(max_size=200), max_size=300))
def test_drifted_features_stay_a_json_list_within_bounds_and_keep_the_largest_effects(features: list[str]) -> None:
    manifest = render(parse_template(JOB, "training"), vetted(drifted_features=tuple(features)))
    told = manifest["metadata"]["annotations"]["driftwarden.dev/drifted-features"]
    assert len(told.encode()) <= MAXIMUM_FEATURES_BYTES
    kept = json.loads(told)
    assert kept == features[: len(kept)]
    assert len(kept) == len(features) or len(told) + 6 * 2 * len(features[len(kept)]) + 4 > MAXIMUM_FEATURES_BYTES


LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)


@given(
    st.from_regex(LABEL, fullmatch=True),
    st.integers(min_value=0, max_value=2**63),
    st.lists(st.text(max_size=20), max_size=5),
    st.sampled_from([JOB, WORKFLOW, PIPELINE_RUN]),
    st.booleans(),
)
def test_whatever_a_model_is_called_and_its_features_the_same_places_are_filled_in(
    model: str, number: int, features: list[str], text: str, suspended: bool
) -> None:
    """No name from outside is a key, a label's name, a variable's name, an image, a command or a namespace."""
    template = parse_template(text, "training")
    request = retrain_request(model=model_name(model), verdict_number=number, drifted_features=tuple(features))
    usual = order(retrain_request(), evidence=EVIDENCE, suspended=suspended)
    manifest = render(template, order(request, evidence=EVIDENCE, suspended=suspended))
    assert shape(manifest) == shape(render(template, usual))
    labels = manifest["metadata"]["labels"]
    assert all(LABEL.fullmatch(value) for value in labels.values())
    added = set(texts(manifest)) - set(texts(render(template, usual)))
    told = manifest["metadata"]["annotations"]["driftwarden.dev/drifted-features"]
    assert added <= {model, str(number), told}


def shape(node: Any) -> Any:
    """The keys of a document, with the names in its lists; without values."""
    if isinstance(node, dict):
        return {key: node["name"] if key == "name" and "value" in node else shape(value) for key, value in node.items()}
    return [shape(each) for each in node] if isinstance(node, list) else type(node).__name__


def texts(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for value in node.values() for text in texts(value)]
    if isinstance(node, list):
        return [text for value in node for text in texts(value)]
    return [node] if isinstance(node, str) else []
