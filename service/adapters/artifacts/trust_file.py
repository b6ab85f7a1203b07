"""The file that says which keys are trusted, for what and until when: YAML, or JSON, which is YAML."""

from datetime import UTC, date, datetime
from os.path import realpath
from pathlib import Path
from typing import Any

from service.adapters.artifacts.certificates import certified, public_key_of, read_root
from service.adapters.artifacts.elliptic_keys import read_bounded, read_public_key
from service.adapters.artifacts.strict_yaml import parsed
from service.domain.errors import InvalidConfiguration
from service.domain.integrity.statement import Kind
from service.domain.integrity.trust import Trust, TrustedAuthority, TrustedKey

_MAXIMUM_BYTES = 2**20
_LIMITS = ("not_before", "not_after", "revoked", "kinds", "data_only")
_SIGNER = ("subject", "alternative_name")


def read_trust(file: Path, artifact: Path) -> Trust:
    """For that artifact. Raises `InvalidConfiguration` that names the file and the place in it."""
    document = parsed(_read(file, artifact), file)
    if not isinstance(document, dict) or set(document) != {"keys"} or not isinstance(document["keys"], list):
        raise InvalidConfiguration(f"{file} must have the one member keys, a list")
    places = [(f"{file}: keys[{number}]", value) for number, value in enumerate(document["keys"])]
    roots = [_authority(file, artifact, place, value) for place, value in places if _is_authority(value)]
    keys = [_key(file, artifact, place, value) for place, value in places if not _is_authority(value)]
    if not places:
        raise InvalidConfiguration(f"{file} trusts no key")
    names = [key.name for key in (*keys, *(root.limits for root in roots))]
    for what, values in (("id", names), ("key", [key.fingerprint for key in keys])):
        if len(set(values)) != len(values):
            raise InvalidConfiguration(f"{file} has an {what} twice: which of the two should hold?")
    return Trust(tuple(keys), tuple(roots))


def trust_in(public_key: Path, artifact: Path) -> Trust:
    """A key without limits, for that artifact. Raises `InvalidConfiguration`."""
    pem, fingerprint = read_public_key(_read(public_key, artifact), str(public_key))
    return Trust((TrustedKey(public_key.stem, pem, fingerprint),))


def _read(file: Path, artifact: Path) -> bytes:
    """Who can change an artifact could change keys that lie in it."""
    # `Path.resolve` fails on a link that leads to itself, which may be all that is there of an artifact.
    if Path(realpath(file)).is_relative_to(realpath(artifact)):
        raise InvalidConfiguration(f"{file} is in what it is to vouch for: keep keys in another place")
    return read_bounded(file, _MAXIMUM_BYTES)


def _key(file: Path, artifact: Path, place: str, value: Any) -> TrustedKey:
    if not isinstance(value, dict) or not {"id", "key"} <= value.keys() <= {"id", "key", *_LIMITS}:
        raise InvalidConfiguration(f"{place} must have id and key, and may have {', '.join(_LIMITS)}")
    pem, fingerprint = _public_key(file.parent, artifact, _of(value, "key", str, place), place)
    return _limited(value, place, pem, fingerprint)


def _is_authority(value: Any) -> bool:
    return isinstance(value, dict) and "ca" in value


def _authority(file: Path, artifact: Path, place: str, value: dict[str, Any]) -> TrustedAuthority:
    """Whoever a root certifies is not meant: whom is said, too."""
    if not {"id", "ca"} <= value.keys() <= {"id", "ca", *_SIGNER, *_LIMITS} or not value.keys() & {*_SIGNER}:
        members = f"may have {', '.join(_LIMITS)}"
        raise InvalidConfiguration(f"{place} must have id, ca, and one or both of {', '.join(_SIGNER)}, and {members}")
    text, source = _text(file.parent, artifact, _of(value, "ca", str, place), f"{place}: ca")
    root = read_root(text, source)
    pem, fingerprint = read_public_key(public_key_of(root, source), source)
    subject, alternative_name = (_of(value, name, str, place) if name in value else None for name in _SIGNER)
    return TrustedAuthority(_limited(value, place, pem, fingerprint), root, certified, subject, alternative_name)


def _limited(value: dict[str, Any], place: str, pem: bytes, fingerprint: str) -> TrustedKey:
    name = _of(value, "id", str, place)
    if not name or not name.isprintable():
        raise InvalidConfiguration(f"{place}: id must be a name that can be printed")
    not_before, not_after = (_moment(value.get(name), f"{place}: {name}") for name in ("not_before", "not_after"))
    if not_before is not None and not_after is not None and not_after < not_before:
        raise InvalidConfiguration(f"{place}: not_after is before not_before")
    revoked, data_only = (_of({flag: False} | value, flag, bool, place) for flag in ("revoked", "data_only"))
    return TrustedKey(name, pem, fingerprint, not_before, not_after, revoked, _kinds(value, place), data_only)


def _public_key(folder: Path, artifact: Path, text: str, place: str) -> tuple[bytes, str]:
    return read_public_key(*_text(folder, artifact, text, f"{place}: key"))


def _text(folder: Path, artifact: Path, text: str, place: str) -> tuple[bytes, str]:
    """PEM, or that of the file of this name from where the trust file is; and where it is."""
    if text.lstrip().startswith("-----BEGIN"):
        return text.encode(), place
    named = folder / text
    return _read(named, artifact), str(named)


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
