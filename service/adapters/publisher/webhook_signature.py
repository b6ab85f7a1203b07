"""Bodies are signed as Standard Webhooks says, which receivers have libraries for: HMAC-SHA256 with a shared secret.

https://www.standardwebhooks.com. One secret a line: while it is changed, the old and the new one both sign.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.domain.errors import InvalidConfiguration

SETTING = "DRIFT_EVENTS__SIGNING_SECRET_FILE"
PREFIX = "whsec_"
_BYTES = range(24, 65)
_MOST_SECRETS = 4
_MAXIMUM_BYTES = 4096


def signature_headers(secrets: Sequence[bytes], identifier: str, seconds: int, body: bytes) -> Mapping[str, str]:
    """Of one try to tell an event; `seconds` since 1970."""
    signed = b"%s.%d.%s" % (identifier.encode(), seconds, body)
    signatures = [hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets]
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(each).decode('ascii')}" for each in signatures),
    }


def read_secrets(file: Path) -> Sequence[bytes]:
    """Raises `InvalidConfiguration`, which repeats nothing of what is in the file."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_MAXIMUM_BYTES + 1).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(f"{SETTING}: {file} cannot be read ({type(error).__name__})") from None
    lines = text.split()
    if not 1 <= len(lines) <= _MOST_SECRETS or len(text) > _MAXIMUM_BYTES:
        raise InvalidConfiguration(f"{SETTING}: {file} must have 1 to {_MOST_SECRETS} lines, a secret each")
    return [_secret(file, number, line) for number, line in enumerate(lines, 1)]


def _secret(file: Path, number: int, line: str) -> bytes:
    try:
        secret = base64.b64decode(line.removeprefix(PREFIX), validate=True)
    except ValueError:
        secret = b""
    if len(secret) not in _BYTES:
        message = f"must be {_BYTES.start} to {_BYTES.stop - 1} random bytes in base64, perhaps behind {PREFIX}"
        raise InvalidConfiguration(f"{SETTING}: line {number} of {file} {message}")
    return secret
