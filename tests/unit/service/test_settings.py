"""Every knob has a name, a meaning and a limit; what is no knob is refused."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel, ValidationError

from service.__main__ import cli
from service.domain.plan import MAXIMUM_WINDOW_ROWS
from service.settings import Settings

GROUPS: dict[str, type[BaseModel]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
KNOBS = [(group, name) for group, model in GROUPS.items() for name in model.model_fields]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("DRIFT_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(("group", "name"), KNOBS)
def test_every_setting_says_what_it_is_for(group: str, name: str) -> None:
    description = GROUPS[group].model_fields[name].description
    assert description, f"{group}.{name} has no meaning"
    assert description.rstrip().endswith((".", "..."))


@pytest.mark.parametrize(("group", "name"), KNOBS)
def test_the_command_line_lists_every_setting_by_its_environment_variable(group: str, name: str) -> None:
    listed = CliRunner().invoke(cli, ["settings"])
    assert listed.exit_code == 0
    assert re.search(rf"^  DRIFT_{group}__{name}( = .*)?$", listed.output, re.MULTILINE | re.IGNORECASE)


def test_every_line_of_a_meaning_stands_under_its_setting() -> None:
    listed = CliRunner().invoke(cli, ["settings"]).output
    titles = {(model.__doc__ or "").strip() for model in GROUPS.values()}
    meanings = [line for line in listed.splitlines() if line and line not in titles and "  DRIFT_" not in line[:8]]
    assert any("Business Source License" in line for line in meanings)
    assert all(re.match(r" {6}\S", line) for line in meanings)


@pytest.mark.parametrize(
    ("variable", "value", "group", "name", "expected"),
    [
        ("DRIFT_HTTP__PORT", "0", "http", "port", 0),
        ("DRIFT_STORE__URL", "redis://store:6379/1", "store", "url", "redis://store:6379/1"),
        ("DRIFT_STORE__EMBEDDED_DIRECTORY", "/data", "store", "embedded_directory", Path("/data")),
        ("DRIFT_EVALUATION__CLAIM_SECONDS", "0.5", "evaluation", "claim_seconds", 0.5),
        ("DRIFT_WORKER__PORT", "0", "worker", "port", 0),
        ("DRIFT_TRIGGER__KIND", "kubernetes", "trigger", "kind", "kubernetes"),
        ("DRIFT_TELEMETRY__LOG_FORMAT", "json", "telemetry", "log_format", "json"),
        ("drift_telemetry__log_level", "debug", "telemetry", "log_level", "debug"),
    ],
)
def test_a_setting_is_an_environment_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, group: str, name: str, expected: Any
) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(getattr(Settings(), group), name) == expected


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DRIFT_HTTP__PORT", "65536"),
        ("DRIFT_HTTP__PORT", "-1"),
        ("DRIFT_HTTP__PORT", "http"),
        ("DRIFT_HTTP__MAX_BODY_BYTES", "0"),
        ("DRIFT_STORE__PREFIX", "a{b}"),
        ("DRIFT_STORE__PREFIX", ""),
        ("DRIFT_STORE__TIMEOUT_SECONDS", "0"),
        ("DRIFT_STORE__KEPT_BATCHES", "-1"),
        ("DRIFT_STORE__RETAINED_BYTES", "-1"),
        ("DRIFT_STORE__RETAINED_SECONDS", "0"),
        ("DRIFT_TRIGGER__KIND", "argo"),
        ("DRIFT_EVALUATION__ENABLED", "false"),  # `driftwarden serve --ingest-only` says it
        ("DRIFT_TELEMETRY__LOG_LEVEL", "loud"),
        ("DRIFT_STORE__URI", "redis://store"),
        ("DRIFT_STROE__URL", "redis://store"),
    ],
)
def test_what_cannot_be_set_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    refused = CliRunner().invoke(cli, ["serve"])
    assert refused.exit_code == 1
    assert variable in refused.output


def test_variables_that_kubernetes_sets_beside_a_service_called_drift_do_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DRIFT_PORT", "tcp://10.0.0.1:80")
    monkeypatch.setenv("DRIFT_PORT_80_TCP", "tcp://10.0.0.1:80")
    monkeypatch.setenv("DRIFT_SERVICE_HOST", "10.0.0.1")
    assert Settings().http.port == 8080


def test_a_refused_setting_is_not_repeated_because_it_may_be_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFT_STORE__PREFIX", "{hunter2}")
    assert "hunter2" not in CliRunner().invoke(cli, ["serve"]).output


def test_retained_rows_leave_room_for_the_largest_window_of_single_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged batches count against the limit: a log full of them would be full for ever."""
    store = Settings().store
    assert store.max_waiting_batches - store.retained_batches > MAXIMUM_WINDOW_ROWS + 2 * 100
    monkeypatch.setenv("DRIFT_STORE__MAX_WAITING_BATCHES", "499")
    with pytest.raises(ValidationError, match="max_waiting_batches"):
        Settings()


def test_settings_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().http.port = 1
