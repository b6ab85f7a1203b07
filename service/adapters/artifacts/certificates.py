"""Certificates of signers: chains of EC keys from a signer to a trusted root, checked offline.

The path is validated by the `cryptography` library (RFC 5280 with the profile of the CA/Browser Forum: validity, path
length, name constraints, no SHA-1); what a signer's own certificate has to say is ours, as its verifiers are for TLS.
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    ClientVerifier,
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from service.adapters.artifacts.elliptic_keys import is_supported, public_key_in_pem
from service.domain.errors import InvalidConfiguration, UntrustedSigner
from service.domain.integrity.envelope import MAXIMUM_CERTIFICATES
from service.domain.integrity.trust import Certified

_BETWEEN = MAXIMUM_CERTIFICATES - 2
_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension, Warning)
"""What reading a certificate raises; warnings, of what will be an error one day, where they are made errors."""


def read_chain(text: bytes, place: str) -> tuple[bytes, ...]:
    """Certificates in PEM, the signer's first, as DER. Raises `InvalidConfiguration`."""
    certificates = _of_pem(text, place)
    if len(certificates) > MAXIMUM_CERTIFICATES:
        raise InvalidConfiguration(f"{place} has more than {MAXIMUM_CERTIFICATES} certificates")
    return tuple(map(_in_der, certificates))


def public_key_of(certificate: bytes, place: str) -> bytes:
    """In PEM. Raises `InvalidConfiguration`."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    if not is_supported(key):
        raise InvalidConfiguration(f"{place} is for a key that is not an EC key on P-256, P-384 or P-521")
    return public_key_in_pem(key)[0]


def read_root(text: bytes, place: str) -> bytes:
    """One certificate in PEM, as DER. Raises `InvalidConfiguration`."""
    certificates = _of_pem(text, place)
    if len(certificates) != 1:
        raise InvalidConfiguration(f"{place} has {len(certificates)} certificates, and must have one: the root")
    public_key_of(_in_der(certificates[0]), place)
    return _in_der(certificates[0])


def _of_pem(text: bytes, place: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text)
    except _UNREADABLE:
        raise InvalidConfiguration(f"{place} is not certificates in PEM") from None


def _in_der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def certified(root: bytes, certificates: Sequence[bytes], now: datetime, /) -> Certified:
    """See `CertificateCheck`."""
    anchor = x509.load_der_x509_certificate(root)
    try:
        leaf, *others = (x509.load_der_x509_certificate(certificate) for certificate in certificates)
        path = _verifier(anchor, now).verify(leaf, [each for each in others if each != anchor]).chain
        names = _alternative_names(leaf)
    except (*_UNREADABLE, VerificationError):
        raise UntrustedSigner(
            "its certificates do not lead to that root, or do not hold now, or are not for signing"
        ) from None
    if [leaf, *others] not in (path, path[:-1]):
        raise UntrustedSigner("it has certificates that its path does not need, or in another order")
    key = leaf.public_key()
    if not is_supported(key) or not all(is_supported(each.public_key()) for each in path):
        raise UntrustedSigner("a certificate is for a key that is not an EC key on P-256, P-384 or P-521")
    pem, fingerprint = public_key_in_pem(key)
    return Certified(pem, fingerprint, leaf.subject.rfc4514_string(), names)


def _verifier(anchor: x509.Certificate, now: datetime) -> ClientVerifier:
    signer = (
        ExtensionPolicy.permit_all()
        .require_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _signs_code)
        .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_no_authority)
    )
    policies = PolicyBuilder().extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=signer)
    return policies.store(Store([anchor])).time(now).max_chain_depth(_BETWEEN).build_client_verifier()


def _signs(_: Policy, __: x509.Certificate, usage: x509.KeyUsage) -> None:
    if not usage.digital_signature:
        raise ValueError("not for signatures")


def _signs_code(_: Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    if usage is not None and ExtendedKeyUsageOID.CODE_SIGNING not in usage:
        raise ValueError("for other purposes only")


def _is_no_authority(_: Policy, __: x509.Certificate, constraints: x509.BasicConstraints | None) -> None:
    if constraints is not None and constraints.ca:
        raise ValueError("an authority's")


def _alternative_names(leaf: x509.Certificate) -> frozenset[str]:
    """Of e-mail, DNS and URI."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(
        value
        for kind in (x509.RFC822Name, x509.DNSName, x509.UniformResourceIdentifier)
        for value in names.get_values_for_type(kind)
    )
