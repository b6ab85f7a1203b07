"""What is read of a run's object, whatever kind it is of and whatever stands in it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.trigger.run_kind import KINDS, run_kind
from service.adapters.trigger.run_seen import MAXIMUM_DETAIL, run_seen
from service.domain.retraining.run import Progress, RunSeen

OURS = {"app.kubernetes.io/managed-by": "driftwarden", "driftwarden.dev/model": "churn"}
JOB, WORKFLOW, PIPELINE_RUN = KINDS
OTHER = ("example.com/v1", "Training")
AT = "2026-03-01T13:00:00Z"


def seen(kind: tuple[str, str], status: object, *, spec: object = None, **metadata: Any) -> RunSeen | None:
    document = {"metadata": {"name": "run", "uid": "u", "labels": OURS, **metadata}, "spec": spec, "status": status}
    return run_seen(run_kind(*kind), document)


def condition(kind: str, status: str, **said: str) -> dict[str, Any]:
    return {"conditions": [{"type": "Other", "status": "True"}, {"type": kind, "status": status, **said}]}


@pytest.mark.parametrize(
    ("kind", "status", "progress"),
    [
        (JOB, {}, Progress.RUNNING),
        (JOB, condition("SuccessCriteriaMet", "True"), Progress.RUNNING),
        (JOB, condition("FailureTarget", "True"), Progress.RUNNING),
        (JOB, condition("Complete", "False"), Progress.RUNNING),
        (JOB, condition("Complete", "True"), Progress.SUCCEEDED),
        (JOB, condition("Failed", "True"), Progress.FAILED),
        (WORKFLOW, {"phase": "Pending"}, Progress.RUNNING),
        (WORKFLOW, {"phase": "Running"} | condition("Completed", "False"), Progress.RUNNING),
        (WORKFLOW, {"phase": "Succeeded"}, Progress.SUCCEEDED),
        (WORKFLOW, {"phase": "Failed"}, Progress.FAILED),
        (WORKFLOW, {"phase": "Error"}, Progress.FAILED),
        (PIPELINE_RUN, condition("Succeeded", "Unknown"), Progress.RUNNING),
        (PIPELINE_RUN, condition("Succeeded", "True"), Progress.SUCCEEDED),
        (PIPELINE_RUN, condition("Succeeded", "False"), Progress.FAILED),
        (OTHER, condition("Running", "True"), Progress.RUNNING),
        (OTHER, condition("Complete", "True"), Progress.SUCCEEDED),
        (OTHER, {"phase": "Failed"}, Progress.FAILED),
    ],
)
def test_how_a_run_is_follows_from_its_status(kind: tuple[str, str], status: object, progress: Progress) -> None:
    found = seen(kind, status)
    assert found is not None
    assert found.progress is progress


def test_a_failure_says_why_and_when() -> None:
    failed = condition(
        "Failed", "True", reason="DeadlineExceeded", message="was active\nfor too long", lastTransitionTime=AT
    )
    found = seen(JOB, failed)
    assert found is not None
    assert (found.detail, found.at) == (
        "DeadlineExceeded: was active for too long",
        datetime(2026, 3, 1, 13, tzinfo=UTC),
    )
    succeeded = seen(JOB, condition("Complete", "True", reason="CompletionsReached", message="reached"))
    assert succeeded is not None
    assert succeeded.detail == ""


def test_only_what_we_made_wait_waits() -> None:
    for annotations, progress in (({"driftwarden.dev/approval": "manual"}, Progress.SUSPENDED), ({}, Progress.RUNNING)):
        found = seen(JOB, {}, spec={"suspend": True}, annotations=annotations, creationTimestamp=AT)
        assert found is not None
        assert found.progress is progress


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"driftwarden.dev/model": "churn"},
        {**OURS, "app.kubernetes.io/managed-by": "helm"},
        {**OURS, "driftwarden.dev/model": "../x"},
        {"app.kubernetes.io/managed-by": "driftwarden"},
    ],
)
def test_what_is_not_ours_is_no_run(labels: dict[str, str]) -> None:
    assert seen(JOB, condition("Failed", "True"), labels=labels) is None


NAMES = st.sampled_from(
    ["conditions", "type", "status", "phase", "message", "reason", "lastTransitionTime", "startTime"]
)
TEXTS = st.sampled_from(["Failed", "True", "Error", AT, "2026-13-01", "2026-03-01T13:00:00"]) | st.text(max_size=1200)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)


@given(st.sampled_from([JOB, WORKFLOW, PIPELINE_RUN, OTHER]), JSON_VALUES, JSON_VALUES)
def test_whatever_a_controller_writes_is_read_and_told_on_one_short_line(
    kind: tuple[str, str], status: object, spec: object
) -> None:
    found = seen(kind, status, spec=spec, annotations={"driftwarden.dev/approval": "manual"})
    assert found is not None
    assert len(found.detail) <= MAXIMUM_DETAIL
    assert found.detail.isprintable()
    assert found.at is None or found.at.tzinfo is not None
