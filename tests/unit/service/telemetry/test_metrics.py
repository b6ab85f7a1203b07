"""Metrics: bounded, parseable, and never of a window that is no longer the newest."""

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from service.domain.models import (
    BatchPosition,
    BudgetState,
    Cursor,
    Decision,
    DetectorMeasurement,
    FeatureMeasurement,
    Finding,
    ModelName,
    ResponseState,
    TriggerOutcome,
    Verdict,
)
from service.telemetry.metrics import OTHER, Metrics

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def verdict(number: int = 1, model: str = "churn", features: int = 2, finding: Finding = Finding.DRIFT) -> Verdict:
    measured = tuple(FeatureMeasurement(f"f{i}", 0.5, 0.25, 0.01, 3.0, 2, drifted=True) for i in range(features))
    detectors = (DetectorMeasurement("kolmogorov_smirnov", "kstwo", None, 1000, 50, measured),) if features else ()
    p_value = None if finding is Finding.UNDECIDED else 0.01
    decision = Decision(finding, "", calibrated=True, false_alarm_rate=0.05, p_value=p_value, detectors=detectors)
    return Verdict(
        number=number,
        model=ModelName(model),
        cursor=Cursor(),
        first_row=0,
        rows=50,
        batches=1,
        duplicates=0,
        misfits=0,
        started_at=NOON,
        ended_at=NOON,
        decided_at=NOON,
        reference_digest="sha256:" + "a" * 64,
        plan_digest="sha256:" + "b" * 64,
        registration_revision=1,
        decision=decision,
        response=ResponseState(),
        action=None,
    )


def series(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Every sample of that name, by the values of its labels."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sample.labels.values()): sample.value for sample in samples}


def test_the_newest_verdict_is_shown() -> None:
    metrics = Metrics(10, 10)
    metrics.show(verdict(3))
    assert series(metrics, "driftwarden_verdict_number") == {("churn",): 3}
    assert series(metrics, "driftwarden_finding") == {
        ("DRIFT", "churn"): 1,
        ("STABLE", "churn"): 0,
        ("UNDECIDED", "churn"): 0,
    }
    assert len(series(metrics, "driftwarden_statistic")) == 2


def test_a_lower_number_is_that_of_a_store_which_counts_anew() -> None:
    metrics = Metrics(10, 10)
    metrics.show(verdict(3))
    metrics.show(verdict(1, finding=Finding.STABLE))
    assert series(metrics, "driftwarden_verdict_number") == {("churn",): 1}
    assert series(metrics, "driftwarden_finding")["STABLE", "churn"] == 1


def test_the_same_number_with_another_cursor_is_another_verdict() -> None:
    metrics = Metrics(10, 10)
    metrics.show(verdict(3))
    metrics.show(replace(verdict(3, finding=Finding.STABLE), cursor=Cursor(BatchPosition("5-0"))))
    assert series(metrics, "driftwarden_finding")["STABLE", "churn"] == 1


def test_when_the_oldest_waiting_batch_came_in_is_shown_while_there_is_one() -> None:
    metrics = Metrics(10, 10)
    metrics.show_oldest_waiting("churn", NOON.timestamp())
    assert series(metrics, "driftwarden_oldest_waiting_batch_timestamp_seconds") == {("churn",): NOON.timestamp()}
    metrics.show_oldest_waiting("churn", None)
    assert series(metrics, "driftwarden_oldest_waiting_batch_timestamp_seconds") == {}
    metrics.show_oldest_waiting("never waited", None)


def test_a_model_beyond_the_limit_does_not_show_its_wait_as_that_of_others() -> None:
    metrics = Metrics(1, 10)
    metrics.show_oldest_waiting("first", NOON.timestamp())
    metrics.show_oldest_waiting("second", NOON.timestamp())
    assert len(series(metrics, "driftwarden_oldest_waiting_batch_timestamp_seconds")) == 1


def test_what_another_process_judges_does_not_wait_here() -> None:
    metrics = Metrics(10, 10)
    metrics.show_oldest_waiting("churn", NOON.timestamp())
    metrics.log_batches.labels("churn").set(7)
    metrics.show_waits_elsewhere("churn")
    assert series(metrics, "driftwarden_oldest_waiting_batch_timestamp_seconds") == {}
    assert series(metrics, "driftwarden_log_batches") == {}
    assert series(metrics, "driftwarden_waiting_rows") == {("churn",): 0}


def test_series_of_features_that_are_gone_vanish() -> None:
    metrics = Metrics(10, 10)
    metrics.show(verdict(1, features=3))
    metrics.show(verdict(2, features=1))
    for name in ("statistic", "effect", "p_value", "drifted"):
        assert len(series(metrics, f"driftwarden_{name}")) == 1, name


def test_what_a_budget_has_come_to_is_shown_while_there_is_one() -> None:
    metrics = Metrics(max_models=10, max_features=10)
    names = ("evidence_once_in_windows", "budget_windows_per_alarm", "budget_alarms")
    plain = verdict()
    decision = replace(plain.decision, once_in_windows=12.5, windows_per_alarm=1000.0)
    metrics.show(replace(plain, decision=decision, budget=BudgetState(windows=9, alarms=2)))
    assert [series(metrics, f"driftwarden_{name}") for name in names] == [
        {("churn",): 12.5},
        {("churn",): 1000.0},
        {("churn",): 2.0},
    ]
    metrics.show(verdict(2))
    assert [series(metrics, f"driftwarden_{name}") for name in names] == [{}, {}, {}]


def test_an_undecided_window_leaves_no_number_of_an_earlier_one() -> None:
    metrics = Metrics(10, 10)
    metrics.show(verdict(1))
    metrics.show(verdict(2, features=0, finding=Finding.UNDECIDED))
    assert series(metrics, "driftwarden_window_p_value") == {}
    assert series(metrics, "driftwarden_statistic") == {}


def test_models_beyond_the_limit_are_counted_together() -> None:
    metrics = Metrics(2, 10)
    labels = [metrics.model(f"model-{index}") for index in range(5)]
    assert labels == ["model-0", "model-1", OTHER, OTHER, OTHER]
    assert metrics.model("model-0") == "model-0"


def test_a_model_beyond_the_limit_shows_no_verdict_of_its_own() -> None:
    metrics = Metrics(1, 10)
    metrics.show(verdict(1, model="first"))
    metrics.show(verdict(9, model="second"))
    assert series(metrics, "driftwarden_verdict_number") == {("first",): 1}


def test_a_model_that_is_called_other_is_shown_like_any_other() -> None:
    metrics = Metrics(10, 10)
    metrics.show(verdict(1, model=OTHER))
    assert list(series(metrics, "driftwarden_verdict_number").values()) == [1]


def test_features_beyond_the_limit_have_no_series() -> None:
    metrics = Metrics(10, 5)
    metrics.show(verdict(1, features=100))
    assert len(series(metrics, "driftwarden_statistic")) == 5


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "new\nline", "umläut", "{}", "a,b=c"])
def test_any_feature_name_survives_the_exposition(name: str) -> None:
    metrics = Metrics(10, 10)
    shown = verdict(1)
    (detector,) = shown.decision.detectors
    renamed = replace(detector, features=(replace(detector.features[0], feature=name),))
    metrics.show(replace(shown, decision=replace(shown.decision, detectors=(renamed,))))
    (labels,) = series(metrics, "driftwarden_statistic")
    assert name in labels


def test_two_applications_in_one_process_do_not_mix() -> None:
    one, other = Metrics(10, 10), Metrics(10, 10)
    one.count_action(ModelName("churn"), TriggerOutcome.CREATED)
    assert series(one, "driftwarden_actions_total") == {("churn", "CREATED"): 1}
    assert series(other, "driftwarden_actions_total") == {}


def test_promtool_has_nothing_to_say_of_names_and_types() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on PATH: install it, e.g. apt-get install prometheus")
    metrics = Metrics(10, 10)
    metrics.show(verdict(1))
    metrics.count_action(ModelName("churn"), TriggerOutcome.CREATED)
    exposition = generate_latest(metrics.registry)
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=exposition, capture_output=True, check=False, timeout=60
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
