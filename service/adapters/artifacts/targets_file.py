"""The file that says what is watched (DRIFT_INTEGRITY__TARGETS): YAML, or JSON, which is YAML.

targets:
- name: fraud
  path: /models/fraud-v3
  trust: /etc/driftwarden/trust.yaml
  kind: model
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from service.adapters.artifacts.elliptic_keys import read_bounded
from service.adapters.artifacts.signed_files import SignedFiles
from service.adapters.artifacts.strict_yaml import parsed
from service.adapters.artifacts.trust_file import read_trust, trust_in
from service.domain.errors import InvalidConfiguration
from service.domain.integrity.statement import Kind
from service.domain.integrity.trust import Expectation
from service.domain.integrity.watched import Bounds, Target

MAXIMUM_TARGETS = 32
"""Each has threads and metrics of its own."""
_MAXIMUM_BYTES = 2**20
_YEAR = 366 * 86_400
_Seconds = Annotated[float, msgspec.Meta(ge=0.05, le=_YEAR)]


class _Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")]
    path: str
    signature: str | None = None
    trust: str | None = None
    key: str | None = None
    kind: Kind | None = None
    payload_digest: Annotated[str, msgspec.Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z")] | None = None
    minimum_version: Annotated[int, msgspec.Meta(ge=0)] | None = None
    allow_ignored: bool = False
    mode: Literal["enforce", "observe"] = "enforce"
    ours: bool = False
    interval_seconds: _Seconds = 300.0
    stat_poll_seconds: _Seconds = 1.5
    max_age_seconds: _Seconds | None = None
    grace_seconds: _Seconds = 60.0
    grace_tries: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 3
    megabytes_per_second: Annotated[float, msgspec.Meta(ge=0.1, le=100_000)] = 100.0


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    targets: Annotated[list[_Target], msgspec.Meta(min_length=1, max_length=MAXIMUM_TARGETS)]


def read_targets(file: Path) -> list[tuple[Target, SignedFiles]]:
    """Relative paths begin where the file is. Raises `InvalidConfiguration` that names the file and the place in it."""
    document = parsed(read_bounded(file, _MAXIMUM_BYTES), file)
    try:
        targets = msgspec.convert(document, _Document).targets
    except msgspec.ValidationError as error:
        raise InvalidConfiguration(f"{file}: {error}") from None
    names = [target.name for target in targets]
    if len(set(names)) != len(names):
        raise InvalidConfiguration(f"{file} has a target's name twice")
    return [_read(file, number, target) for number, target in enumerate(targets)]


def _read(file: Path, number: int, said: _Target) -> tuple[Target, SignedFiles]:
    place = f"{file}: targets[{number}]"
    if (said.key is None) == (said.trust is None):
        raise InvalidConfiguration(f"{place} must have one of key and trust: who is trusted is for you to say")
    path = file.parent / said.path
    if not path.name:
        raise InvalidConfiguration(f"{place}: path is a whole file system")
    if file.resolve().is_relative_to(path.resolve()):
        raise InvalidConfiguration(f"{place}: {file} is in what it says is watched: keep it in another place")
    signature = path.parent / f"{path.name}.sig" if said.signature is None else file.parent / said.signature
    trust = None if said.trust is None else file.parent / said.trust
    key = None if said.key is None else file.parent / said.key
    _refuse_useless_keys(place, path, trust, key)
    max_age = 3 * said.interval_seconds if said.max_age_seconds is None else said.max_age_seconds
    if max_age < said.interval_seconds:
        raise InvalidConfiguration(f"{place}: max_age_seconds is below interval_seconds, and it would always be stale")
    expected = Expectation(said.kind, said.payload_digest, said.minimum_version, said.allow_ignored)
    target = Target(
        name=said.name,
        kind=said.kind,
        enforced=said.mode == "enforce",
        ours=said.ours,
        interval_seconds=said.interval_seconds,
        poll_seconds=min(said.stat_poll_seconds, said.interval_seconds),
        bytes_per_second=said.megabytes_per_second * 1e6,
        bounds=Bounds(max_age, said.grace_seconds, said.grace_tries),
    )
    return target, SignedFiles(path, signature, trust, key, expected)


def _refuse_useless_keys(place: str, path: Path, trust: Path | None, key: Path | None) -> None:
    """At start, where somebody looks: later they are read for each verification."""
    try:
        if trust is not None:
            read_trust(trust, path)
        elif key is not None:
            trust_in(key, path)
    except InvalidConfiguration as error:
        raise InvalidConfiguration(f"{place}: {error}") from None
