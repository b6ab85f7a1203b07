"""Whose signature is believed, for what and until when, and what an artifact must be to pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.domain.errors import RolledBack, UntrustedSigner
from service.domain.integrity.envelope import Bundle
from service.domain.integrity.statement import Kind, Statement


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key, and the limits of the trust in it."""

    name: str
    """By which messages call it."""
    public_key: bytes
    """SubjectPublicKeyInfo in PEM."""
    fingerprint: str
    """SHA-256 of that PEM, in hexadecimal."""
    not_before: datetime | None = None
    not_after: datetime | None = None
    revoked: bool = False
    kinds: frozenset[Kind] = frozenset(Kind)
    data_only: bool = False
    """Whether what it signs must be nothing but data."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Keys under different fingerprints."""

    keys: Sequence[TrustedKey]

    def key_of(self, bundle: Bundle, now: datetime) -> TrustedKey:
        """Raises `UntrustedSigner`.

        A bundle tells no time that could be believed, so it is the present that has to be within the key's validity:
        who has an old key could date what it signs today as it likes.
        """
        key = next((key for key in self.keys if key.fingerprint == bundle.hint), None)
        if key is None:
            raise UntrustedSigner(
                "it is signed by a key that is not trusted: get the signer's public key by another way"
            )
        if key.revoked:
            raise UntrustedSigner(f"it is signed by the key {key.name}, which is revoked: sign it with another one")
        if key.not_before is not None and now < key.not_before:
            raise UntrustedSigner(
                f"it is signed by the key {key.name}, valid from {key.not_before.isoformat()} on only"
            )
        if key.not_after is not None and now > key.not_after:
            ended = key.not_after.isoformat()
            raise UntrustedSigner(f"it is signed by the key {key.name}, valid until {ended}: sign it with a newer one")
        return key


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an artifact must be besides signed."""

    kind: Kind | None = None
    payload_digest: str | None = None
    """`sha256:` and hexadecimal digits: this statement and no other one, older or newer."""
    minimum_version: int | None = None
    allow_ignored: bool = False
    """Whether files may be there that the signer looked away from."""

    def meet(self, statement: Statement, payload_digest: str, key: TrustedKey) -> None:
        """Raises `UntrustedSigner`, `RolledBack`."""
        self._right_kind(statement, key)
        if self.payload_digest is not None and payload_digest != self.payload_digest:
            raise RolledBack(
                f"it is validly signed, and another one than expected: its payload digest is {payload_digest}. Is it an"
                " older one, or another artifact's?"
            )
        if self.minimum_version is None:
            return
        if statement.version is None:
            raise RolledBack(f"its signature names no version, and {self.minimum_version} or later is expected")
        if statement.version < self.minimum_version:
            raise RolledBack(f"it is version {statement.version}, and {self.minimum_version} or later is expected")

    def _right_kind(self, statement: Statement, key: TrustedKey) -> None:
        if None not in {self.kind, statement.kind} and self.kind is not statement.kind:
            raise UntrustedSigner(f"it is signed as a {statement.kind}, and a {self.kind} is expected")
        kind = self.kind if self.kind is not None else statement.kind
        if kind is None and key.kinds != set(Kind):
            raise UntrustedSigner(f"the key {key.name} is trusted for some kinds only: say which is expected")
        if kind is not None and kind not in key.kinds:
            raise UntrustedSigner(f"it is signed by the key {key.name}, which is not trusted for a {kind}")
