"""`driftwarden verify`: whether files are those that somebody trusted has signed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from os.path import lexists
from pathlib import Path

from click import ClickException

from service.adapters.artifacts.elliptic_keys import read_bounded, signature_holds
from service.adapters.artifacts.file_tree import FileTree
from service.adapters.artifacts.trust_file import read_trust, trust_in
from service.domain.errors import ArtifactRefused
from service.domain.integrity.envelope import MAXIMUM_BUNDLE_BYTES
from service.domain.integrity.inventory import DATA_ONLY, refuse
from service.domain.integrity.names import shown
from service.domain.integrity.trust import Expectation, Trust
from service.hashing_progress import shown_progress
from service.usecases.inspect_artifact import inspect_artifact
from service.usecases.verify_artifact import Verified, verify_artifact

_NAMED = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be verified, and against what; one of `key` and `trust` is there."""

    path: Path
    signature: Path
    key: Path | None
    trust: Path | None
    expected: Expectation
    data_only: bool = False


def verify(asked: Asked) -> str:
    """What to say of an artifact that is verified. Raises `ClickException`, and errors of ours."""
    try:
        return _said(asked.path, verified_artifact(asked))
    except ArtifactRefused as error:
        raise ClickException(f"{asked.path} is not verified: {error}") from error


def verified_artifact(asked: Asked) -> Verified:
    """What is known of it afterwards. Raises `ClickException`, the kinds of `ArtifactRefused`, and errors of ours."""
    trust = _trust(asked)
    if not lexists(asked.signature):
        raise ClickException(f"{asked.signature} cannot be found: --signature says where the signature is")
    if asked.signature.exists() and not asked.signature.is_file():
        raise ClickException(f"{asked.signature} is no file")  # a pipe would be waited for
    bundle = read_bounded(asked.signature, MAXIMUM_BUNDLE_BYTES)
    with shown_progress(asked.path) as progress:
        files = FileTree(asked.path, asked.signature, progress=progress)
        verified = verify_artifact(files, bundle, trust, asked.expected, datetime.now(UTC), signature_holds)
        if asked.data_only or verified.key.data_only:
            refuse(inspect_artifact(files), DATA_ONLY)
    return verified


def _trust(asked: Asked) -> Trust:
    if asked.trust is not None:
        return read_trust(asked.trust, asked.path)
    assert asked.key is not None  # noqa: S101 - the command line wants one of the two
    return trust_in(asked.key, asked.path)


def _said(path: Path, verified: Verified) -> str:
    statement = verified.statement
    lines = [
        f"verified: {path}",
        f"  files: {len(statement.digests):,}",
        f"  signed by: {verified.key.name} ({verified.key.fingerprint})",
        f"  payload digest: {verified.payload_digest}",
        *([] if statement.kind is None else [f"  kind: {statement.kind}"]),
        *([] if statement.version is None else [f"  version: {statement.version}"]),
        *(f"  not signed, and allowed: {shown(name)}" for name in verified.ignored[:_NAMED]),
    ]
    more = len(verified.ignored) - _NAMED
    return "\n".join([*lines, *([f"  and {more:,} more that are allowed"] if more > 0 else [])])
