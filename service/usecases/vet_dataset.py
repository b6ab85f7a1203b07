"""Vet a dataset: say, signed, that it passed checks, where its own signature and files hold."""

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from service.domain.errors import UnsignableArtifact
from service.domain.integrity.envelope import Bundle, signed_bytes
from service.domain.retraining.vetting_statement import VettingStatement
from service.usecases.verify_artifact import Verified

if TYPE_CHECKING:  # the other ports bring NumPy and SciPy, which nothing here needs
    from service.ports import PrivateKey


def vet_dataset(
    dataset: Verified,
    checks: Collection[str],
    key: "PrivateKey",
    issued: datetime,
    expires: datetime,
    certificates: tuple[bytes, ...] = (),
) -> Bundle:
    """Raises `UnsignableArtifact` where the gate would refuse it anyway. Certificates are the key's own first."""
    signer = dataset.key.fingerprint
    if signer == key.fingerprint:
        raise UnsignableArtifact("this key has signed the dataset, and cannot vet it: that is for somebody else to do")
    if dataset.statement.version is None:
        raise UnsignableArtifact("the dataset is signed without a version, by which older ones are told: sign it again")
    if expires <= issued:
        raise UnsignableArtifact("the statement would have expired when it is made: choose a later end")
    statement = VettingStatement(
        dataset.statement.name,
        dataset.payload_digest,
        frozenset(checks),
        approver=key.fingerprint,
        requester=signer,
        issued=issued,
        expires=expires,
    )
    payload = statement.encode()
    return Bundle(payload, key.sign(signed_bytes(payload)), "" if certificates else key.fingerprint, certificates)
