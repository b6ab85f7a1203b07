"""The alerts of docs/operations.md fire when they should, also for the first of a kind."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.telemetry.metrics import Metrics

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "operations.md").read_text(encoding="utf-8")
FOUND = re.search(r"```yaml\n(groups:\n.*?)```", PAGE, re.DOTALL)
RULES = "" if FOUND is None else FOUND[1]
MINUTES = 60


def test_they_name_metrics_that_there_are() -> None:
    named = set(re.findall(r"driftwarden_(\w+)", RULES))
    families = {family.name.removeprefix("driftwarden_") for family in Metrics(10, 10).registry.collect()}
    assert named
    assert {name.removesuffix("_total").removesuffix("_created") for name in named} <= families


def counted(step: str, reason: str) -> list[dict[str, str]]:
    """Something is counted for the first time after ten minutes, in a process that counted nothing of the kind."""
    labels = json.dumps({"model": "fraud", "step": step, "reason": reason, "instance": "a"})
    inside = re.sub(r'"(\w+)": ', r"\1=", labels[1:-1])
    return [
        {"series": f"driftwarden_retrainings_total{{{inside}}}", "values": f"_x9 1x{3 * MINUTES}"},
        {"series": f"driftwarden_retrainings_created{{{inside}}}", "values": f"_x9 600x{3 * MINUTES}"},
    ]


def shown(name: str, labels: str, value: int = 1) -> list[dict[str, str]]:
    return [{"series": f"driftwarden_{name}{{{labels}}}", "values": f"{value}x{48 * MINUTES}"}]


FRAUD = 'model="fraud"'
REFUSED = {"model": "fraud", "step": "REFUSED", "reason": "vetting_expired"}


@pytest.mark.parametrize(
    ("series", "alert", "when", "labels"),
    [
        (counted("REFUSED", "vetting_expired"), "RetrainingRefused", "15m", REFUSED),
        (counted("REFUSED", "vetting_expired"), "RetrainingRefused", "2h", None),
        (counted("REFUSED", "cool_down"), "RetrainingRefused", "15m", None),
        (counted("STARTED", "DRY_RUN"), "RetrainingOnlyShown", "15m", {"model": "fraud"}),
        (counted("STARTED", "CREATED"), "RetrainingOnlyShown", "15m", None),
        (shown("pending_actions", FRAUD), "RetrainingWaits", "13h", {"model": "fraud"}),
        (shown("pending_actions", FRAUD), "RetrainingWaits", "11h", None),
        (shown("retraining_failures", FRAUD), "RetrainingFails", "1m", {"model": "fraud"}),
        (shown("retraining_failures", FRAUD, 0), "RetrainingFails", "1m", None),
        (
            shown("retraining_phase", f'{FRAUD}, phase="SUSPENDED"'),
            "RetrainingAwaitsSomebody",
            "25h",
            {"model": "fraud", "phase": "SUSPENDED"},
        ),
        (shown("retraining_phase", f'{FRAUD}, phase="RUNNING"'), "RetrainingAwaitsSomebody", "25h", None),
        (shown("evaluators", 'instance="a"', 0), "NobodyJudges", "15m", {}),
        (shown("evaluators", 'instance="a"', 2), "NobodyJudges", "15m", None),
    ],
)
def test_each_fires_when_it_should(
    series: list[dict[str, str]], alert: str, when: str, labels: dict[str, str] | None, tmp_path: Path
) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on PATH: install it, e.g. apt-get install prometheus")
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    expected = [] if labels is None else [{"exp_labels": labels}]
    case = {
        "interval": "1m",
        "input_series": series,
        "alert_rule_test": [{"eval_time": when, "alertname": alert, "exp_alerts": expected}],
    }
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [case]}
    (tmp_path / "test.yaml").write_text(json.dumps(document), encoding="utf-8")
    command = [promtool, "test", "rules", str(tmp_path / "test.yaml")]
    tested = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert tested.returncode == 0, tested.stdout + tested.stderr
