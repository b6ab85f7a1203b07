"""Authorities of certificates, with the faults that a test wants in them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
MAIL = "release@example.com"


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def usage(*, signs: bool, certifies: bool = False) -> x509.KeyUsage:
    others = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(digital_signature=signs, key_cert_sign=certifies, crl_sign=certifies, **others)


def _made(name: str, by: Made | None, extensions: list[tuple[Any, bool]], **other: Any) -> Made:
    key = other.get("key") or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + other.get("begins", -DAY))
        .not_valid_after(NOW + other.get("ends", DAY))
    )
    signer = key if by is None else by.key
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    for extension, critical in [*extensions, (identifier, False)]:
        builder = builder.add_extension(extension, critical)
    return Made(builder.sign(signer, other.get("hash", hashes.SHA256())), key)


def authority(name: str, by: Made | None = None, *, length: int | None = None, **other: Any) -> Made:
    key = other.setdefault("key", ec.generate_private_key(ec.SECP256R1()))
    extensions = [
        (x509.BasicConstraints(ca=True, path_length=length), True),
        (usage(signs=False, certifies=True), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        *other.pop("extensions", []),
    ]
    return _made(name, by, extensions, **other)


def signer(by: Made, *, name: str = "release", **other: Any) -> Made:
    extensions = other.pop(
        "replaced",
        [
            (usage(signs=True), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
            (x509.SubjectAlternativeName([x509.RFC822Name(MAIL), x509.DNSName("build.example.com")]), False),
        ],
    )
    return _made(name, by, [*extensions, *other.pop("more", [])], **other)


ROOT = authority("root")
BETWEEN = authority("between", ROOT, length=0)
SIGNER = signer(BETWEEN)
