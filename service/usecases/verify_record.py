"""Decide of a record that was handed out whether it is whole, and what the service signed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.domain.errors import BrokenRecord, UntrustedSigner, UnusableSignature
from service.domain.integrity.envelope import Bundle, parse_bundle
from service.domain.integrity.trust import Trust, TrustedKey
from service.domain.retraining.record import Line, read
from service.domain.retraining.signed_head import Head, parse_head
from service.ports import SignatureCheck


@dataclass(frozen=True, slots=True)
class VerifiedRecord:
    """What is known of it after that."""

    head: Head
    lines: Sequence[Line]
    key: TrustedKey


def signed_by(bundle: Bundle, trust: Trust, now: datetime, holds: SignatureCheck) -> TrustedKey:
    """Raises `UntrustedSigner`."""
    key = trust.key_of(bundle, now)
    if not holds(key.public_key, bundle.signature, bundle.signed_bytes):
        raise UntrustedSigner("the signature is not by the key that it names, or what it is of was changed")
    return key


def verify_record(text: bytes, trust: Trust, now: datetime, holds: SignatureCheck) -> VerifiedRecord:
    """Of JSON Lines, the last of which is the head. No entry is read before that is known to be ours.

    Raises `BrokenRecord`, `UntrustedSigner`, `CorruptedState`.
    """
    *entries, last = text.removesuffix(b"\n").split(b"\n")
    try:
        bundle = parse_bundle(last)
        key = signed_by(bundle, trust, now, holds)
        head = parse_head(bundle.payload)
    except UnusableSignature as error:
        raise BrokenRecord(
            f"its last line is not a signature over the record (was it cut off, or has the service no key?): {error}"
        ) from error
    lines = [read(entry) for entry in entries]
    head.refuse_other(lines)
    return VerifiedRecord(head, lines, key)


def refuse_unless_it_goes_on(record: VerifiedRecord, earlier: VerifiedRecord) -> None:
    """Raise `BrokenRecord` unless the record has, unchanged, the entry that an earlier one ended with."""
    then, now = earlier.head, record.head
    if then.model != now.model:
        raise BrokenRecord("the earlier record is another model's")
    if then.newest > now.newest:
        raise BrokenRecord(f"it ends with entry {now.newest}, and the earlier one with {then.newest}")
    if then.newest and then.newest < now.first:
        raise BrokenRecord(f"it begins with entry {now.first}, behind the end of the earlier one, {then.newest}")
    if then.newest and record.lines[then.newest - now.first].digest != then.digest:
        raise BrokenRecord(f"entry {then.newest} is not what it was when the earlier record was signed")
