"""Whose signature is believed, for what and until when, and what an artifact must be to pass."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

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
class Certified:
    """A key, and whom a certificate says that it belongs to."""

    public_key: bytes
    """SubjectPublicKeyInfo in PEM."""
    fingerprint: str
    subject: str
    """RFC 4514."""
    alternative_names: frozenset[str]


class CertificateCheck(Protocol):
    """Whose key a chain of certificates is for, if it leads to a root and holds now. Raises `UntrustedSigner`."""

    def __call__(self, root: bytes, certificates: Sequence[bytes], now: datetime, /) -> Certified: ...


@dataclass(frozen=True, slots=True)
class TrustedAuthority:
    """A root, and for whom its word counts."""

    limits: TrustedKey
    """Of the trust in its word; the key is the root's own, which signs no artifacts."""
    root: bytes
    """Its certificate in DER."""
    check: CertificateCheck
    subject: str | None = None
    alternative_name: str | None = None
    """A signer must have both as they are here, where they are."""

    def certified(self, certificates: Sequence[bytes], now: datetime) -> TrustedKey:
        """Raises `UntrustedSigner`."""
        signer = self.check(self.root, certificates, now)
        name = self.limits.name
        if self.subject is not None and signer.subject != self.subject:
            raise UntrustedSigner(f"it is signed by another subject than {name} is trusted for")
        if self.alternative_name is not None and self.alternative_name not in signer.alternative_names:
            raise UntrustedSigner(f"it is signed by another name than {name} is trusted for")
        return replace(self.limits, public_key=signer.public_key, fingerprint=signer.fingerprint)


@dataclass(frozen=True, slots=True)
class Trust:
    """Keys under different fingerprints, and roots of certificates."""

    keys: Sequence[TrustedKey]
    authorities: Sequence[TrustedAuthority] = ()

    def key_of(self, bundle: Bundle, now: datetime) -> TrustedKey:
        """Raises `UntrustedSigner`.

        A bundle tells no time that could be believed, so it is the present that has to be within the key's validity:
        who has an old key could date what it signs today as it likes.
        """
        key = self._certified(bundle, now) if bundle.certificates else self._named(bundle.hint)
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

    def _named(self, fingerprint: str) -> TrustedKey:
        key = next((key for key in self.keys if key.fingerprint == fingerprint), None)
        if key is None:
            raise UntrustedSigner(
                "it is signed by a key that is not trusted: get the signer's public key by another way"
            )
        return key

    def _certified(self, bundle: Bundle, now: datetime) -> TrustedKey:
        """By the first root that says so; of several that do not, each says why."""
        refusals = []
        for authority in self.authorities:
            try:
                return authority.certified(bundle.certificates, now)
            except UntrustedSigner as error:
                refusals.append(f"{authority.limits.name}: {error}")
        if not refusals:
            raise UntrustedSigner("it is signed with certificates, and no root of certificates is trusted")
        raise UntrustedSigner("; ".join(refusals))


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
