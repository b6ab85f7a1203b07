"""The command that tries a plan on rows of a file: what it says, and what it says when it cannot."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from service.__main__ import cli, main
from service.domain.errors import DriftwardenError

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = 4_000
PLAN = {"window": {"rows": 50}, "detectors": [{"name": "kolmogorov_smirnov"}]}


def written(path: Path, *, shift: float = 0.0, count: int = COUNT, **columns: Any) -> Path:
    """Rows every ten minutes, moved in their last fifth by `shift`; `columns` in the place of what there is."""
    drawn = np.random.default_rng(5).normal(size=(count, 2))
    drawn[count * 4 // 5 :, 0] += shift
    table: dict[str, Any] = {
        "time": [(BEGIN + timedelta(minutes=10 * row)).isoformat() for row in range(count)],
        "amount": drawn[:, 0],
        "age": drawn[:, 1],
        "country": ["AB"[row % 2] for row in range(count)],
        **columns,
    }
    lines = [",".join(table), *(",".join(str(values[row]) for values in table.values()) for row in range(count))]
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["calibrate", *map(str, arguments)])


def planned(directory: Path, **plan: Any) -> Path:
    path = directory / "plan.json"
    path.write_text(json.dumps({**PLAN, **plan}))
    return path


def test_a_change_in_the_history_is_one_alarm_with_its_feature_and_month(tmp_path: Path) -> None:
    data = written(tmp_path / "rows.csv", shift=2.0)
    result = run(data, "--plan", planned(tmp_path), "--time-column", "time", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["reference_rows"], found["history_rows"], found["calibrated"]) == (2400, 1600, True)
    assert found["windows"]["DRIFT"] >= 16
    assert sum(found["windows"].values()) == 32
    assert found["months"] == pytest.approx(1599 * 600 / (30.44 * 86400))
    assert found["alarms_per_month"] == pytest.approx(found["alarms"] / found["months"])
    told = run(data, "--plan", planned(tmp_path), "--time-column", "time")
    assert "amount" in told.output
    assert "a month" in told.output


def test_planted_changes_are_found_sooner_the_larger_they_are_and_categories_are_not_moved(tmp_path: Path) -> None:
    data = written(tmp_path / "rows.csv")
    waits = {}
    for size in (0.05, 3.0):
        result = run(data, "--plan", planned(tmp_path), "--time-column", "time", "--shift", size, "--json")
        waits[size] = {each["feature"]: each["windows_until_found"] for each in json.loads(result.stdout)["planted"]}
    assert set(waits[3.0]) == {"amount", "age"}
    assert all(wait == 1 for each in waits[3.0].values() for wait in each)
    assert any(wait != 1 for each in waits[0.05].values() for wait in each)


def test_a_plan_with_seasons_is_tried_by_the_times_of_the_rows(tmp_path: Path) -> None:
    data, plan = written(tmp_path / "rows.csv"), planned(tmp_path, decision={"season": {"by": "day_of_week"}})
    result = run(data, "--plan", plan, "--time-column", "time")
    assert result.exit_code == 0, result.output
    assert "Each row is compared by its day of the week." in result.output
    result = run(data, "--plan", plan)
    assert result.exit_code != 0
    assert "give the --time-column" in result.output


def test_a_plan_in_yaml_a_picture_and_rows_without_times(tmp_path: Path) -> None:
    plan, picture = tmp_path / "plan.yaml", tmp_path / "found.png"
    plan.write_text("window: {rows: 50}\ndetectors: [{name: kolmogorov_smirnov}]\n")
    np.save(tmp_path / "rows.npy", np.random.default_rng(1).normal(size=(2000, 2)))
    result = run(tmp_path / "rows.npy", "--plan", plan, "--plot", picture)
    assert result.exit_code == 0, result.output
    assert "in 1000 windows" in result.output
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ({"time": [600] * 200 + [0] * 200}, ["--time-column", "time"], "earlier than the row before"),
        ({"time": ["noon"] * 400}, ["--time-column", "time"], "is no time"),
        ({}, ["--time-column", "when"], "there is no column 'when'"),
        ({"amount": [""] + [1.5] * 399}, [], "reference has no holes"),
        ({}, ["--reference-share", "0.95"], "fill no window"),
        ({}, ["--plot", "found.bmp"], "must end with .png"),
    ],
)
def test_what_cannot_be_simulated_is_said(tmp_path: Path, columns: Any, options: list[str], said: str) -> None:
    result = run(written(tmp_path / "rows.csv", count=400, **columns), "--plan", planned(tmp_path), *options)
    assert result.exit_code != 0
    assert said in result.output + str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit | DriftwardenError)


def test_a_plan_that_goes_by_times_is_not_tried_without_them(tmp_path: Path) -> None:
    for place, plan in {
        "decision.false_alarms.per": {"decision": {"false_alarms": {"per": "30d"}}},
        "window.every_seconds": {"window": {"every_seconds": 3600}},
    }.items():
        result = run(written(tmp_path / "rows.csv", count=400), "--plan", planned(tmp_path, **plan))
        assert result.exit_code != 0
        assert f"({place}): give the --time-column" in result.output


def test_windows_that_are_undecided_are_told_with_a_reason(tmp_path: Path) -> None:
    data = written(tmp_path / "rows.csv", count=2000, time=[600] * 2000)
    plan = planned(tmp_path, decision={"false_alarms": {"per": "30d"}})
    result = run(data, "--plan", plan, "--time-column", "time")
    assert "0 STABLE, 16 UNDECIDED." in result.output
    told = " ".join(result.output.split())
    assert "window 1 is UNDECIDED: p = " in told
    assert "windows have no length in time" in told


def test_a_column_of_times_that_is_not_said_to_be_one_is_named_once(tmp_path: Path) -> None:
    result = run(written(tmp_path / "rows.csv"), "--plan", planned(tmp_path))
    assert "declare its role as time or ignore" in str(result.exception)
    assert "together" not in str(result.exception)


def test_of_many_faults_the_command_tells_the_first(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    data = written(tmp_path / "rows.csv", count=400, time=["noon"] * 400)
    monkeypatch.setattr("sys.argv", ["driftwarden", "calibrate", str(data), "--time-column", "time"])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().err
    assert said.count("is no time with a zone") == 3
    assert said.endswith("; and more\n")


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"window": {"rows": 5}}, "window.rows"),
        ({"surprise": 1}, "surprise"),
        ({"window": {"rows": 50, "keep": "summaries"}}, "keeps summaries"),
    ],
)
def test_a_plan_that_cannot_be_tried_is_said_by_its_place(tmp_path: Path, plan: dict[str, Any], said: str) -> None:
    result = run(written(tmp_path / "rows.csv", count=400), "--plan", planned(tmp_path, **plan))
    assert result.exit_code != 0
    assert said in result.output + str(result.exception)


def test_a_plan_that_asks_for_performance_names_the_columns_that_a_file_cannot(tmp_path: Path) -> None:
    scores = np.random.default_rng(6).random(COUNT)
    labels = (np.random.default_rng(7).random(COUNT) < scores).astype(int)
    data = written(tmp_path / "rows.csv", score=scores, paid=labels)
    named = {"prediction": "score", "label": "paid"}
    response = {"only_if_it_matters": True}
    plan = planned(tmp_path, performance=named, response=response)
    result = run(data, "--plan", plan, "--time-column", "time", "--shift", 0.5, "--json")
    assert result.exit_code == 0, result.output
    assert "paid" not in {each["feature"] for each in json.loads(result.stdout)["planted"]}
    refused = run(data, "--plan", planned(tmp_path, performance={}), "--time-column", "time")
    assert refused.exit_code != 0
    assert "name them in performance.prediction and performance.label" in refused.output
