"""Verify that files are those that somebody trusted has signed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from service.domain.errors import UntrustedSigner
from service.domain.integrity.envelope import parse_bundle
from service.domain.integrity.statement import Statement, parse_statement
from service.domain.integrity.tree import compared
from service.domain.integrity.trust import Expectation, Trust, TrustedKey

if TYPE_CHECKING:  # the other ports bring NumPy and SciPy, and a container waits for this command before it starts
    from service.ports import ArtifactFiles, SignatureCheck


@dataclass(frozen=True, slots=True)
class Verified:
    """What is known of an artifact afterwards."""

    statement: Statement
    payload_digest: str
    key: TrustedKey
    ignored: Sequence[str]
    """Files that are there, that nobody signed, and that were allowed to be."""


def verify_artifact(
    files: "ArtifactFiles", bundle: bytes, trust: Trust, expected: Expectation, now: datetime, holds: "SignatureCheck"
) -> Verified:
    """Blocks while every signed file is read, which none is before the signature is known to hold.

    Raises the kinds of `ArtifactRefused`, and `ArtifactUnreadable`. Keeps nothing: every call stands for itself.
    """
    read = parse_bundle(bundle)
    key = trust.key_of(read, now)
    if not holds(key.public_key, read.signature, read.signed_bytes):
        raise UntrustedSigner(
            f"the signature does not hold: it, or what it signs, is not what the key {key.name} signed"
        )
    statement = parse_statement(read.payload)
    expected.meet(statement, read.payload_digest, key)
    names = compared(statement, files.found(), allow_ignored=expected.allow_ignored)
    names.with_digests(statement, files.digests(names.present)).raise_if_any()
    return Verified(statement, read.payload_digest, key, names.ignored)
