"""The file that says which keys are trusted, for what and until when: YAML, or JSON, which is YAML."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from service.adapters.artifacts.elliptic_keys import read_bounded, read_public_key
from service.adapters.artifacts.strict_yaml import parsed
from service.domain.errors import InvalidConfiguration
from service.domain.integrity.statement import Kind
from service.domain.integrity.trust import Trust, TrustedKey

_MAXIMUM_BYTES = 2**20
_MEMBERS = {"id", "key", "not_before", "not_after", "revoked", "kinds"}


def read_trust(file: Path, artifact: Path) -> Trust:
    """For that artifact. Raises `InvalidConfiguration` that names the file and the place in it."""
    document = parsed(_read(file, artifact), file)
    if not isinstance(document, dict) or set(document) != {"keys"} or not isinstance(document["keys"], list):
        raise InvalidConfiguration(f"{file} must have the one member keys, a list")
    keys = [_key(file, artifact, f"{file}: keys[{number}]", value) for number, value in enumerate(document["keys"])]
    if not keys:
        raise InvalidConfiguration(f"{file} trusts no key")
    for what, values in (("id", [key.name for key in keys]), ("key", [key.fingerprint for key in keys])):
        if len(set(values)) != len(values):
            raise InvalidConfiguration(f"{file} has an {what} twice: which of the two should hold?")
    return Trust(tuple(keys))


def trust_in(public_key: Path, artifact: Path) -> Trust:
    """A key without limits, for that artifact. Raises `InvalidConfiguration`."""
    pem, fingerprint = read_public_key(_read(public_key, artifact), str(public_key))
    return Trust((TrustedKey(public_key.stem, pem, fingerprint),))


def _read(file: Path, artifact: Path) -> bytes:
    """Who can change an artifact could change keys that lie in it."""
    if file.resolve().is_relative_to(artifact.resolve()):
        raise InvalidConfiguration(f"{file} is in what it is to vouch for: keep keys in another place")
    return read_bounded(file, _MAXIMUM_BYTES)


def _key(file: Path, artifact: Path, place: str, value: Any) -> TrustedKey:
    if not isinstance(value, dict) or not {"id", "key"} <= value.keys() <= _MEMBERS:
        raise InvalidConfiguration(f"{place} must have id and key, and may have not_before, not_after, revoked, kinds")
    name = _of(value, "id", str, place)
    if not name or not name.isprintable():
        raise InvalidConfiguration(f"{place}: id must be a name that can be printed")
    pem, fingerprint = _public_key(file.parent, artifact, _of(value, "key", str, place), place)
    not_before, not_after = (_moment(value.get(name), f"{place}: {name}") for name in ("not_before", "not_after"))
    if not_before is not None and not_after is not None and not_after < not_before:
        raise InvalidConfiguration(f"{place}: not_after is before not_before")
    revoked = _of({"revoked": False} | value, "revoked", bool, place)
    return TrustedKey(name, pem, fingerprint, not_before, not_after, revoked, _kinds(value, place))


def _public_key(folder: Path, artifact: Path, text: str, place: str) -> tuple[bytes, str]:
    """PEM, or the name of a file that has it, from where the trust file is."""
    if text.lstrip().startswith("-----BEGIN"):
        return read_public_key(text.encode(), f"{place}: key")
    named = folder / text
    return read_public_key(_read(named, artifact), str(named))


def _kinds(value: dict[str, Any], place: str) -> frozenset[Kind]:
    if "kinds" not in value:
        return frozenset(Kind)
    kinds = _of(value, "kinds", list, place)
    if not kinds or not all(isinstance(kind, str) and kind in set(Kind) for kind in kinds):
        raise InvalidConfiguration(f"{place}: kinds must be a list of some of {', '.join(Kind)}")
    return frozenset(map(Kind, kinds))


def _of(value: dict[str, Any], name: str, wanted: type, place: str) -> Any:
    if type(value[name]) is not wanted:
        words = {str: "a text", bool: "true or false", list: "a list"}
        raise InvalidConfiguration(f"{place}: {name} must be {words[wanted]}")
    return value[name]


def _moment(value: Any, place: str) -> datetime | None:
    if value is None:
        return None
    moment = _of_text(value) if isinstance(value, str) else value
    if isinstance(moment, date) and not isinstance(moment, datetime):
        return datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidConfiguration(f"{place} must be a date, or a time with its zone: 2026-12-31T23:59:59Z")
    return moment


def _of_text(value: str) -> date | None:
    """A time that JSON has to spell as a text."""
    for read in (date.fromisoformat, datetime.fromisoformat):
        try:
            return read(value)
        except ValueError:
            continue
    return None
