"""Verify that an approver, who is somebody else than whoever signed a dataset, says that it was vetted."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from service.domain.errors import UntrustedSigner
from service.domain.integrity.envelope import parse_bundle
from service.domain.integrity.statement import Kind
from service.domain.integrity.trust import Trust
from service.domain.retraining.gate import Check, Refusal
from service.domain.retraining.vetting_statement import SignedDataset, may_do_both, parse_vetting

if TYPE_CHECKING:  # the other ports bring NumPy and SciPy, and the command line waits for them
    from service.ports import SignatureCheck


@dataclass(frozen=True, slots=True)
class Approval:
    """What a dataset must have been vetted by, and for."""

    approvers: Trust
    signers: Trust
    """Of datasets; none of them may be an approver."""
    checks: Collection[str]


def verify_vetting(
    bundle: bytes, dataset: SignedDataset, wanted: Approval, now: datetime, holds: "SignatureCheck"
) -> str | Refusal:
    """Fingerprint of the approver's key, or why it is not enough.

    Raises `UnusableSignature`, `UntrustedSigner`: it is no statement, or none by an approver.
    """
    read = parse_bundle(bundle)
    key = wanted.approvers.key_of(read, now)
    if not holds(key.public_key, read.signature, read.signed_bytes):
        raise UntrustedSigner(f"the vetting statement is not what the key {key.name} signed")
    if Kind.DATASET not in key.kinds:
        raise UntrustedSigner(f"the key {key.name} is not trusted with datasets")
    said = parse_vetting(read.payload)
    refusal = dataset.refusal(said, key.fingerprint, wanted.checks, now)
    if refusal is not None:
        return refusal
    if may_do_both(wanted.approvers, wanted.signers, read, now):
        return Refusal(
            Check.VETTING,
            "approvers_sign_datasets",
            "a key is trusted both with signing datasets and with vetting them: one person would be enough",
        )
    return key.fingerprint
