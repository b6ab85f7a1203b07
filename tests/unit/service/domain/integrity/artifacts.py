"""Artifacts in memory, and what signs and verifies them."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from service.adapters.artifacts.elliptic_keys import EllipticKey, signature_holds
from service.domain.integrity.tree import Found, Sort
from service.domain.integrity.trust import Expectation, Trust, TrustedKey
from service.usecases.verify_artifact import Verified, verify_artifact

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY = EllipticKey.new("P-256")
TRUSTED = TrustedKey("release", KEY.public_key, KEY.fingerprint)


@dataclass
class Files:
    contents: dict[str, bytes]
    others: tuple[Found, ...] = ()
    name: str = "fraud"
    read: list[str] = field(default_factory=list)

    def found(self) -> Sequence[Found]:
        return [*(Found(name, Sort.FILE, len(text)) for name, text in self.contents.items()), *self.others]

    def digests(self, names: Collection[str], /) -> Mapping[str, str]:
        self.read += names
        return {name: hashlib.sha256(self.contents[name]).hexdigest() for name in names}


def verified(
    files: Files, bundle: bytes, expected: Expectation | None = None, *keys: TrustedKey, now: datetime = NOW
) -> Verified:
    trust = Trust(keys or (TRUSTED,))
    return verify_artifact(files, bundle, trust, expected or Expectation(), now, signature_holds)
