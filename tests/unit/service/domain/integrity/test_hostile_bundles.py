"""Cases 46 to 50 of the list of bad inputs that no other file here has."""

import json
from base64 import b64encode
from itertools import permutations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from service.domain.errors import ArtifactRefused, ArtifactTampered, UntrustedSigner, UnusableSignature
from service.domain.integrity.envelope import Bundle, signed_bytes
from service.domain.integrity.statement import Statement
from service.domain.integrity.tree import Found, Sort
from service.domain.integrity.trust import Expectation
from service.usecases.sign_artifact import sign_artifact
from tests.unit.service.domain.integrity.artifacts import KEY, TRUSTED, Files, verified

FILES = Files({"a.bin": b"1", "sub/b.bin": b"2"})
STATEMENT, BUNDLE = sign_artifact(FILES, KEY)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
R, S = decode_dss_signature(BUNDLE.signature)


def signed(payload: bytes) -> bytes:
    return Bundle(payload, KEY.sign(signed_bytes(payload)), KEY.fingerprint).encode()


def changed(**members: object) -> bytes:
    """The serialization of the statement, before it is signed."""
    document = json.loads(STATEMENT.encode())
    document["predicate"]["serialization"] |= members
    return signed(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("r", "s"),
    [(0, S), (R, 0), (0, 0), (ORDER, S), (R, ORDER), (R + ORDER, S), (R, S + ORDER), (S, R), (1, 1)],
    ids=["0 s", "r 0", "0 0", "n s", "r n", "r+n s", "r s+n", "s r", "1 1"],
)
def test_numbers_that_no_signature_has_do_not_hold(r: int, s: int) -> None:
    """Case 47; the other spelling of a right one is in test_trust.py."""
    with pytest.raises(UntrustedSigner, match="does not hold"):
        verified(FILES, Bundle(BUNDLE.payload, encode_dss_signature(r, s), KEY.fingerprint).encode())


@pytest.mark.parametrize(
    "spelled", [b"\x30\x80", b"\x30\x06\2\1\1\2\1\1\0", b"\x31\x06\2\1\1\2\1\1", bytes(64), bytes(2**16)]
)
def test_a_signature_in_another_spelling_does_not_hold(spelled: bytes) -> None:
    """Case 47."""
    with pytest.raises(UntrustedSigner, match="does not hold"):
        verified(FILES, Bundle(BUNDLE.payload, spelled, KEY.fingerprint).encode())


def test_a_signature_by_a_key_of_another_kind_does_not_hold() -> None:
    """Case 47: it says that it is by the trusted one."""
    message = BUNDLE.signed_bytes
    by_rsa = rsa.generate_private_key(65537, 2048).sign(message, padding.PKCS1v15(), hashes.SHA256())
    by_p192 = ec.generate_private_key(ec.SECP192R1()).sign(message, ec.ECDSA(hashes.SHA256()))
    for signature in (by_rsa, by_p192):
        with pytest.raises(UntrustedSigner, match="does not hold"):
            verified(FILES, Bundle(BUNDLE.payload, signature, KEY.fingerprint).encode())


@pytest.mark.parametrize("method", [{"method": "shards", "shard_size": size} for size in (0, 1, -1, 2**70, "1", None)])
def test_shards_of_any_size_are_refused(method: dict[str, object]) -> None:
    """Case 48."""
    with pytest.raises(UnusableSignature):
        verified(FILES, changed(**method))


def test_links_are_refused_whatever_the_signer_allows() -> None:
    """Case 48."""
    text = changed(allow_symlinks=True)
    assert verified(FILES, text)
    with pytest.raises(ArtifactTampered, match="symbolic link: link"):
        verified(Files(FILES.contents, (Found("link", Sort.LINK),)), text, Expectation(allow_ignored=True))


@pytest.mark.parametrize("digest", ["A" * 64, "a" * 63, "a" * 65, " " + "a" * 63, "", "\uff10" * 64])
def test_a_digest_in_another_spelling_is_refused(digest: str) -> None:
    """Case 48."""
    with pytest.raises(UnusableSignature, match="64 hexadecimal digits"):
        verified(FILES, signed(STATEMENT.encode().replace(STATEMENT.digests["a.bin"].encode(), digest.encode())))


def test_a_million_entries_are_refused_by_their_size() -> None:
    """Case 48: nothing of it is parsed."""
    entry = b'{"name":"%07d","algorithm":"sha256","digest":"' + b"0" * 64 + b'"},'
    payload = b'{"predicate":{"resources":[' + entry * 10**6
    text = BUNDLE.encode().replace(b64encode(BUNDLE.payload), b64encode(payload))
    with pytest.raises(UnusableSignature, match="more than"):
        verified(FILES, text)


def test_names_of_very_many_folders_are_refused() -> None:
    """Case 48: a signer who is trusted must not be able to fill the memory."""
    names = ["/".join([str(number), *["a"] * 1100]) for number in range(1000)]
    with pytest.raises(UnusableSignature, match="more than 1,048,576 folders"):
        verified(FILES, signed(Statement("fraud", dict.fromkeys(names, "0" * 64)).encode()))


def test_a_name_of_megabytes_is_not_repeated_in_the_message() -> None:
    """Case 48."""
    with pytest.raises(UnusableSignature, match="longer") as caught:
        verified(FILES, signed(Statement("fraud", {"a" * 10**6: "0" * 64}).encode()))
    assert len(str(caught.value)) < 1000


def test_names_that_are_one_somewhere_are_told_with_their_folders() -> None:
    """Case 48."""
    for names, said in (
        (("a/B/x", "a/b/y"), "a/B and a/b"),
        (("a/caf\u00e9/x", "a/cafe\u0301/x"), "caf\u00e9"),
        (("\u017f", "s"), "to be one"),
    ):
        with pytest.raises(UnusableSignature, match=said):
            verified(FILES, signed(Statement("fraud", dict.fromkeys(names, "0" * 64)).encode()))


def test_what_one_artifact_ignores_no_other_does_in_any_order() -> None:
    """Case 50: a hundred verifications. The configuration of model-signing 1.1.1 lets the planted file pass."""
    ignoring = changed(ignore_paths=["evil.py"])
    planted = Files(FILES.contents | {"evil.py": b""})
    cases = [(planted, ignoring, True), (planted, BUNDLE.encode(), False), (FILES, BUNDLE.encode(), True)]
    for _ in range(6):
        for order in permutations(cases):
            for files, bundle, right in order:
                try:
                    verified(files, bundle, Expectation(allow_ignored=True), TRUSTED)
                except ArtifactRefused:
                    assert not right
                else:
                    assert right
