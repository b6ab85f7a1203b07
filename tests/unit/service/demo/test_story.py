"""What the demonstration prints is readable on any terminal, and what it says to type can be typed."""

import re
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from detectors.registry import create
from service.demo import flights, story

WIDTHS = [40, 60, 80, 100, 120, 128, 200]
FEATURES = [
    "scheduled_hour",
    "distance_miles",
    "departure_delay_minutes",
    "ground_minutes",
    "arrival_delay_minutes",
]
FINDINGS = ["STABLE", "DRIFT", "UNDECIDED"]


def verdict(number: int) -> dict[str, Any]:
    """Every number of every window is another one, so that each can be looked for."""
    distances = [
        {"statistic": 0.1 + (number * 5 + index) / 100, "drifted": index == 0, "p_value": 0.008 if number % 2 else 0.01}
        for index in range(5)
    ]
    finding = FINDINGS[number % 3]
    return {
        "number": number,
        "started_at": f"2013-04-{18 + number:02}T12:{number:02}:00+00:00",
        "ended_at": f"2013-04-{18 + number:02}T23:00:00+00:00",
        "rows": 300,
        "detectors": [
            {"detector": "kolmogorov_smirnov", "features": distances},
            {
                "detector": "maximum_mean_discrepancy",
                "features": [{"statistic": -0.001 * number, "drifted": number == 3, "p_value": None}],
            },
        ],
        "p_value": None if finding == "UNDECIDED" else number / 1000,
        "finding": finding,
        "action": {"name": "retrain-x"} if number == 4 else None,
    }


VERDICTS = [verdict(number) for number in range(1, 13)]


def printed(width: int, *, colours: bool = False) -> str:
    console = Console(
        width=width, file=StringIO(), force_terminal=colours, color_system="standard" if colours else None
    )
    story.timeline(console, VERDICTS, FEATURES)
    output = console.file
    assert isinstance(output, StringIO)
    return output.getvalue()


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_and_no_finding_is_cut(width: int) -> None:
    words = printed(width).split()
    assert "…" not in "".join(words)
    for each in VERDICTS:
        for detector in each["detectors"]:
            digits = 3 if detector["detector"] == "maximum_mean_discrepancy" else 2
            for measurement in detector["features"]:
                assert f"{measurement['statistic']:.{digits}f}" in words
        if each["p_value"] is not None:
            assert f"{each['p_value']:.3f}" in words
    for finding in FINDINGS:
        assert sum(word.removeprefix("!") == finding for word in words) == 4
    assert words.count("furloughs") == sum(story.overlaps_furloughs(each) for each in VERDICTS)
    assert words.count("Job") == 1
    marked = [word for word in words if word.startswith("!") and word != "!:"]
    assert len(marked) == len(VERDICTS) // 2  # 6 x 0.008 is within 5 %, 6 x 0.01 is not


@pytest.mark.parametrize("width", [width for width in WIDTHS if width >= 60])
def test_no_line_is_left_to_the_terminal_to_break(width: int) -> None:
    assert max(map(len, printed(width).splitlines())) <= width


@pytest.mark.parametrize("width", [80, 100, 120, 128, 200])
def test_from_eighty_columns_on_a_window_is_one_line(width: int) -> None:
    lines = [line for line in printed(width).splitlines() if re.search("|".join(FINDINGS), line)]
    assert len(lines) == len(VERDICTS)
    for line, each in zip(lines, VERDICTS, strict=True):
        assert all(f"{m['statistic']:.2f}" in line for m in each["detectors"][0]["features"])


@pytest.mark.parametrize("width", WIDTHS)
def test_every_feature_is_named_in_full(width: int) -> None:
    words = re.split(r"[\s_,]+", printed(width))
    for feature in FEATURES:
        assert all(
            words.count(word) >= sum(word in each.split("_") for each in FEATURES) for word in feature.split("_")
        )


def test_what_drifted_is_red_at_any_width() -> None:
    for width in WIDTHS:
        assert "\x1b[1;31m" in printed(width, colours=True)


@pytest.mark.parametrize("width", WIDTHS)
def test_what_was_created_is_said_to_the_end(width: int) -> None:
    console = Console(width=width, file=StringIO())
    manifest = f"image: registry.example.com/replace-me/retraining@sha256:{'0123456789abcdef' * 4}\n"
    action = {
        "kind": "Job",
        "name": "retrain-laguardia-departures-4-0123456789",
        "outcome": "DRY_RUN",
        "detail": manifest,
    }
    story.actions(console, [{**VERDICTS[3], "action": action}])
    output = console.file
    assert isinstance(output, StringIO)
    said = "".join(re.sub(r"[│╭╮╰╯─]", " ", output.getvalue()).split())
    assert "Jobretrain-laguardia-departures-4-0123456789wouldbecreated(dryrun:noclusterisconfigured)" in said
    assert "0123456789abcdef" * 4 in said


def next_steps(url: str | None, command: str) -> str:
    console = Console(width=60, file=StringIO())
    story.next_steps(console, url, "laguardia-departures", command)
    output = console.file
    assert isinstance(output, StringIO)
    return output.getvalue()


def test_addresses_are_whole_and_quoted_for_every_shell() -> None:
    said = next_steps("http://127.0.0.1:54321", ".venv/bin/driftwarden")
    assert "curl 'http://127.0.0.1:54321/v1/models/laguardia-departures/verdicts?limit=1'\n" in said


def test_what_to_type_names_the_command_as_it_can_be_called() -> None:
    said = next_steps(None, ".venv/bin/driftwarden")
    assert not re.findall(r"(?<!\.venv/bin/)driftwarden (?:demo|serve)", said)
    assert "placeholder" in said


def test_the_command_is_called_by_its_name_only_where_that_is_found(tmp_path: Path) -> None:
    program = tmp_path / "clone" / ".venv" / "bin" / "driftwarden"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    clone, elsewhere = tmp_path / "clone", tmp_path / "elsewhere"
    assert story.command_as_typed(str(program), clone, "/usr/bin") == ".venv/bin/driftwarden"
    assert story.command_as_typed(".venv/bin/driftwarden", clone, "/usr/bin") == ".venv/bin/driftwarden"
    assert story.command_as_typed(str(program), elsewhere, "/usr/bin") == str(program)
    assert story.command_as_typed(str(program), elsewhere, str(program.parent)) == "driftwarden"


def test_the_usual_test_alarms_in_every_window_of_real_departures_as_the_readme_says() -> None:
    known, later = flights.load()
    detector = create("kolmogorov_smirnov", {})
    fitted = detector.fit(np.array(known.rows))
    windows = [
        np.array(later.rows[first : first + flights.WINDOW_ROWS])
        for first in range(0, len(later.rows) - flights.WINDOW_ROWS + 1, flights.WINDOW_ROWS)
    ]
    judged = [
        {"detectors": [{"features": [{"p_value": float(chance)} for chance in chances]}]}
        for chances in (detector.test(fitted, detector.summarise(fitted, rows)).p_value for rows in windows)
    ]
    assert [story.alarms_naively(each) for each in judged] == [True] * 56
