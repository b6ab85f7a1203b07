"""What the settings make of authentication, and what is said of it at the start."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from service.access import Entrance, on_this_machine, open_entrance
from service.domain.errors import InvalidConfiguration
from service.settings import AuthenticationSettings, HttpSettings, Settings
from service.telemetry.metrics import Metrics

pytestmark = pytest.mark.anyio

ELSEWHERE = "192.0.2.1"


async def opened(host: str = "127.0.0.1", http: dict[str, Any] | None = None, **authentication: Any) -> Entrance:
    settings = Settings(
        http=HttpSettings(host=host, **(http or {})), authentication=AuthenticationSettings(**authentication)
    )
    async with AsyncExitStack() as stack:
        return await open_entrance(settings, Metrics(1, 1), stack)


@pytest.fixture
def callers(tmp_path: Path) -> Path:
    path = tmp_path / "callers"
    path.write_text("pods certificate:CN:pods ingest *\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
async def test_on_this_machine_nobody_has_to_be_asked(host: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert (await opened(host)).admit is None
    assert "not authenticated: only this machine" in caplog.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ELSEWHERE, "driftwarden.example.com", "", "127.0.0.1.example.com"])  # noqa: S104
async def test_where_others_reach_it_somebody_has_to_be_asked(host: str) -> None:
    assert not on_this_machine(host)
    with pytest.raises(InvalidConfiguration, match="DRIFT_AUTHENTICATION__MODE=none"):
        await opened(host)


async def test_off_is_off_whatever_else_is_set_and_warned_of(callers: Path, caplog: pytest.LogCaptureFixture) -> None:
    for settings in ({}, {"callers_file": callers}, {"kubernetes_audience": "driftwarden"}):
        caplog.clear()
        assert (await opened(ELSEWHERE, mode="none", **settings)).admit is None
        (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
        assert "MODE=none" in warning.getMessage()
        assert ELSEWHERE in warning.getMessage()


async def test_a_way_that_is_set_is_used_on_this_machine_too(callers: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for host in ("127.0.0.1", ELSEWHERE):
        assert (await opened(host, callers_file=callers)).admit is not None
    assert "authenticated by 1 credentials in" in caplog.text
    assert caplog.text.count("plain HTTP") == 1


async def test_what_cannot_be_used_is_named(tmp_path: Path, callers: Path) -> None:
    missing = tmp_path / "missing"
    for settings, named in (
        ({"callers_file": missing}, "CALLERS_FILE"),
        ({"kubernetes_audience": "driftwarden", "kubeconfig": missing}, str(missing)),
        ({"http": {"client_ca_file": missing}}, "TLS_CERTIFICATE_FILE"),
        ({"http": {"tls_key_file": missing}}, "TLS_CERTIFICATE_FILE"),
        ({"http": {"tls_certificate_file": missing}}, "TLS_CERTIFICATE_FILE"),
        ({"http": {"tls_certificate_file": callers}}, "TLS_CERTIFICATE_FILE"),
    ):
        with pytest.raises(InvalidConfiguration, match=named):
            await opened(**settings)  # type: ignore[arg-type]
