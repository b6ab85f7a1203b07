"""EC keys in PEM: made, read, signed and verified with (ECDSA on P-256, P-384 and P-521)."""

import hashlib
import os
from pathlib import Path
from typing import TypeGuard

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from service.domain.errors import InvalidConfiguration

CURVES: dict[str, type[ec.EllipticCurve]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    ec.SECP256R1.name: hashes.SHA256,
    ec.SECP384R1.name: hashes.SHA384,
    ec.SECP521R1.name: hashes.SHA512,
}
_MAXIMUM_BYTES = 64 * 2**10


class EllipticKey:
    """A private key. Neither its text nor its representation shows it."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    @classmethod
    def new(cls, curve: str) -> "EllipticKey":
        return cls(ec.generate_private_key(CURVES[curve]()))

    @property
    def public_key(self) -> bytes:
        """In PEM."""
        return _pem(self._key.public_key())

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.public_key).hexdigest()

    def sign(self, message: bytes, /) -> bytes:
        return self._key.sign(message, ec.ECDSA(_hash(self._key.curve)))

    def write(self, file: Path, passphrase: bytes | None) -> None:
        """Into a new file that its owner alone may read. Raises `OSError`."""
        encryption = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
        text = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(text)


class PassphraseWanted(InvalidConfiguration):
    """A private key that is encrypted, and came without its passphrase."""


def read_private_key(file: Path, passphrase: bytes | None) -> EllipticKey:
    """Raises `PassphraseWanted`, `InvalidConfiguration`; never says what is in the file."""
    text = read_bounded(file)
    try:
        key = load_pem_private_key(text, passphrase)
    except TypeError:
        if passphrase is None:
            raise PassphraseWanted(f"{file} is encrypted: give its passphrase with --passphrase-file") from None
        raise InvalidConfiguration(f"{file} is not encrypted: leave --passphrase-file out") from None
    except (ValueError, UnsupportedAlgorithm):
        what = "a private key in PEM" if passphrase is None else "a private key in PEM with this passphrase"
        raise InvalidConfiguration(f"{file} is not {what}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _HASHES:
        raise InvalidConfiguration(f"{file} is not an EC key on {', '.join(CURVES)}")
    return EllipticKey(key)


def read_public_key(text: bytes, place: str) -> tuple[bytes, str]:
    """PEM in its one spelling, and its fingerprint. Raises `InvalidConfiguration`."""
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidConfiguration(f"{place} is not a public key in PEM") from None
    if not is_supported(key):
        raise InvalidConfiguration(f"{place} is not an EC key on {', '.join(CURVES)}")
    return public_key_in_pem(key)


def is_supported(key: object) -> TypeGuard[ec.EllipticCurvePublicKey]:
    """Whether it is a public key on one of the curves."""
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _HASHES


def public_key_in_pem(key: ec.EllipticCurvePublicKey) -> tuple[bytes, str]:
    """With its fingerprint."""
    pem = _pem(key)
    return pem, hashlib.sha256(pem).hexdigest()


def signature_holds(public_key: bytes, signature: bytes, message: bytes, /) -> bool:
    """Of a key that `read_public_key` gave."""
    key = load_pem_public_key(public_key)
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - others are refused where they are read
    try:
        key.verify(signature, message, ec.ECDSA(_hash(key.curve)))
    except InvalidSignature:
        return False
    return True


def read_bounded(file: Path, maximum: int = _MAXIMUM_BYTES) -> bytes:
    """Raises `InvalidConfiguration`."""
    try:
        with file.open("rb") as opened:
            text = opened.read(maximum + 1)
    except OSError as error:
        raise InvalidConfiguration(f"{file} cannot be read: {error.strerror}") from error
    if len(text) > maximum:
        raise InvalidConfiguration(f"{file} has more than {maximum:,} bytes")
    return text


def _pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _hash(curve: ec.EllipticCurve) -> hashes.HashAlgorithm:
    return _HASHES[curve.name]()
