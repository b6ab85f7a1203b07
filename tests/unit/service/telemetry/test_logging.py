"""One line an event, whatever is in it."""

import json
import logging
from typing import Any

import pytest

from service.telemetry.logging import JsonFormatter, TextFormatter


def record(message: str, *args: Any, **extra: Any) -> logging.LogRecord:
    return logging.getLogger("driftwarden").makeRecord(
        "driftwarden", logging.WARNING, __file__, 1, message, args, None, extra=extra
    )


HOSTILE = ["two\nlines", "carriage\rreturn", "\x1b[31mred", "\u2028separator", "nul\x00", "\u202eright to left", "\x85"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_value_cannot_forge_a_line_for_people(text: str) -> None:
    line = TextFormatter().format(record("model %s", text, feature=text))
    assert len(line.splitlines()) == 1
    assert line.isprintable()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_value_cannot_forge_a_line_for_machines(text: str) -> None:
    line = JsonFormatter().format(record("model %s", text, feature=text))
    assert len(line.splitlines()) == 1
    entry = json.loads(line)
    assert (entry["message"], entry["feature"], entry["level"]) == (f"model {text}", text, "warning")


def test_what_was_passed_beside_the_message_is_on_the_line() -> None:
    assert TextFormatter().format(record("judged", model="churn", verdict=3)).endswith("judged model=churn verdict=3")


def test_a_traceback_is_part_of_the_one_json_line() -> None:
    try:
        int("no number")
    except ValueError as error:
        failed = record("failed")
        failed.exc_info = (type(error), error, error.__traceback__)
    assert "ValueError: invalid literal" in json.loads(JsonFormatter().format(failed))["exception"]


def test_a_value_that_is_not_json_is_still_logged() -> None:
    assert json.loads(JsonFormatter().format(record("odd", value={1, 2})))["value"] == "{1, 2}"
