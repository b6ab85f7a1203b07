"""Bodies are signed as Standard Webhooks says, with the secrets of a file that is written by people."""

import base64
from pathlib import Path

import pytest

from service.adapters.publisher.webhook_signature import read_secrets, signature_headers
from service.domain.errors import InvalidConfiguration

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of the standard's own example
OTHER = base64.b64encode(b"n" * 32).decode()


def file(folder: Path, text: str) -> Path:
    path = folder / "secrets"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_signature_of_the_standards_example(tmp_path: Path) -> None:
    secrets = read_secrets(file(tmp_path, f"{SECRET}\n"))
    headers = signature_headers(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_while_a_secret_is_changed_both_sign(tmp_path: Path) -> None:
    secrets = read_secrets(file(tmp_path, f"{OTHER}\n{SECRET}"))
    both = signature_headers(secrets, "e", 1, b"{}")["webhook-signature"].split(" ")
    alone = [signature_headers([secret], "e", 1, b"{}")["webhook-signature"] for secret in secrets]
    assert both == alone


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "whsec_",
        "hunter2",
        base64.b64encode(b"hunter2").decode(),
        base64.b64encode(b"x" * 65).decode(),
        f"{SECRET}\n" * 5,
        "x" * 5000,
        "Größe",
        f"{SECRET}\nhunter2",
    ],
)
def test_what_is_no_secret_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidConfiguration, match="DRIFT_EVENTS__SIGNING_SECRET_FILE") as refused:
        read_secrets(file(tmp_path, text))
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="nowhere"):
        read_secrets(tmp_path / "nowhere")
