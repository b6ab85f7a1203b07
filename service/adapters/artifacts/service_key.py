"""The key that the service itself signs with: a file that is mounted, and that nobody says a passphrase for."""

from pathlib import Path

from service.adapters.artifacts.elliptic_keys import EllipticKey, PassphraseWanted, read_private_key
from service.domain.errors import InvalidConfiguration

_SETTING = "DRIFT_TRIGGER__SIGNING_KEY_FILE"


def read_service_key(file: Path | None) -> EllipticKey | None:
    """None without a file. Raises `InvalidConfiguration`."""
    if file is None:
        return None
    try:
        return read_private_key(file, None)
    except PassphraseWanted:
        message = "is encrypted, and nobody is there to say its passphrase: mount a key without one from a Secret"
        raise InvalidConfiguration(f"{_SETTING} {message}") from None
    except InvalidConfiguration as error:
        raise InvalidConfiguration(f"{_SETTING}: {error}") from error
