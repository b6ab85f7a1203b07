"""The bundle around a signed statement: a Sigstore bundle v0.3 with a DSSE envelope, signed by a key.

The key is named, or comes with its certificates.

OpenSSF Model Signing v1.0, https://github.com/ossf/model-signing-spec; DSSE v1.0, https://github.com/secure-systems-lab/dsse.
What nobody signed cannot vary: every bundle of the same payload, signature and key, or certificates, reads the same but
for white space and the order of members, so that a bundle that was touched is not a bundle.
"""

import base64
import hashlib
import json
from dataclasses import dataclass

from service.domain.errors import UnusableSignature
from service.domain.integrity.strict_json import each, member, nothing_but, of_type, parsed

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAXIMUM_BUNDLE_BYTES = 32 * 2**20
"""About 150 000 files."""
MAXIMUM_CERTIFICATES = 5
"""The signer's, three between, and the root, which need not be there."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was signed, the signature, and which key it says it is by."""

    payload: bytes
    signature: bytes
    """ECDSA, in DER."""
    hint: str
    """SHA-256 of the public key's PEM, in hexadecimal. Not signed: it finds the key, and the key decides."""
    certificates: tuple[bytes, ...] = ()
    """In DER, the signer's first; the hint is empty then."""

    @property
    def payload_digest(self) -> str:
        """The identity of what was signed: unlike the statement's own digest it covers the names of the files."""
        return f"sha256:{hashlib.sha256(self.payload).hexdigest()}"

    @property
    def signed_bytes(self) -> bytes:
        """The pre-authentication encoding of DSSE."""
        return signed_bytes(self.payload)

    def encode(self) -> bytes:
        """As it is written to a file."""
        document = {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": self._material() | {"tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(self.payload).decode("ascii"),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(self.signature).decode("ascii"), "keyid": ""}],
            },
        }
        return json.dumps(document, separators=(",", ":")).encode("ascii")

    def _material(self) -> dict[str, object]:
        if not self.certificates:
            return {"publicKey": {"hint": self.hint}}
        chain = [{"rawBytes": base64.b64encode(certificate).decode("ascii")} for certificate in self.certificates]
        return {"x509CertificateChain": {"certificates": chain}}


def signed_bytes(payload: bytes) -> bytes:
    """What a key signs for this payload."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode("ascii"), len(payload), payload)


def parse_bundle(text: bytes) -> Bundle:
    """Raises `UnusableSignature`. Says nothing of whether the signature holds."""
    if len(text) > MAXIMUM_BUNDLE_BYTES:
        raise UnusableSignature(f"the signature has more than {MAXIMUM_BUNDLE_BYTES:,} bytes")
    document = parsed(text, "the signature")
    nothing_but(document, {"mediaType", "verificationMaterial", "dsseEnvelope"}, "the signature")
    if member(document, "mediaType", str, "the signature") != MEDIA_TYPE:
        raise UnusableSignature(f"the signature's mediaType is not {MEDIA_TYPE}")
    hint, certificates = _signer(member(document, "verificationMaterial", dict, "the signature"))
    payload, signature = _envelope(member(document, "dsseEnvelope", dict, "the signature"), hint)
    return Bundle(payload, signature, hint, certificates)


def _signer(material: dict[str, object]) -> tuple[str, tuple[bytes, ...]]:
    """The key's hint, or the certificates."""
    what = "verificationMaterial"
    form = next((form for form in ("publicKey", "x509CertificateChain") if form in material), None)
    if form is None:
        raise UnusableSignature("the signature has neither key nor certificates: keyless signing is not supported")
    nothing_but(material, {form, "tlogEntries"}, what)
    if of_type(material.get("tlogEntries", []), list, f"tlogEntries of {what}"):
        raise UnusableSignature("the signature has entries of a transparency log, which are not supported")
    signer = member(material, form, dict, what)
    if form == "x509CertificateChain":
        return "", _certificates(signer)
    nothing_but(signer, {"hint"}, form)
    return member(signer, "hint", str, form), ()


def _certificates(chain: dict[str, object]) -> tuple[bytes, ...]:
    what = "x509CertificateChain"
    nothing_but(chain, {"certificates"}, what)
    values = member(chain, "certificates", list, what)
    if not 1 <= len(values) <= MAXIMUM_CERTIFICATES:
        raise UnusableSignature(f"the signature has {len(values)} certificates: 1 to {MAXIMUM_CERTIFICATES} are read")
    return tuple(each(values, _certificate, "certificates"))


def _certificate(value: object, place: str) -> bytes:
    document = of_type(value, dict, place)
    nothing_but(document, {"rawBytes"}, place)
    return _decoded(member(document, "rawBytes", str, place), f"rawBytes of {place}")


def _envelope(envelope: dict[str, object], hint: str) -> tuple[bytes, bytes]:
    what = "dsseEnvelope"
    nothing_but(envelope, {"payload", "payloadType", "signatures"}, what)
    if member(envelope, "payloadType", str, what) != PAYLOAD_TYPE:
        raise UnusableSignature(f"the signature's payloadType is not {PAYLOAD_TYPE}")
    signatures = member(envelope, "signatures", list, what)
    if len(signatures) != 1:
        raise UnusableSignature(f"the bundle has {len(signatures)} signatures, and must have one")
    signature = of_type(signatures[0], dict, "signatures[0]")
    nothing_but(signature, {"sig", "keyid"}, "signatures[0]")
    if of_type(signature.get("keyid", ""), str, "keyid") not in {"", hint}:
        raise UnusableSignature("keyid and hint of the signature name different keys")
    return _decoded(member(envelope, "payload", str, what), "payload"), _decoded(
        member(signature, "sig", str, "signatures[0]"), "sig"
    )


def _decoded(text: str, what: str) -> bytes:
    """Base64 in its one spelling: the standard library takes others for the same bytes, too."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        raise UnusableSignature(f"{what} is not base64") from None
    if base64.b64encode(decoded).decode("ascii") != text:
        raise UnusableSignature(f"{what} is not base64 in its canonical spelling")
    return decoded
