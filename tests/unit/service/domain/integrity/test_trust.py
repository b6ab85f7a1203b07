"""Whom a signature may be by, for what, until when; and no way back to what was signed before."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from service.adapters.artifacts.elliptic_keys import EllipticKey
from service.domain.errors import ArtifactTampered, RolledBack, UntrustedSigner
from service.domain.integrity.statement import Kind
from service.domain.integrity.trust import Expectation, TrustedKey
from service.usecases.sign_artifact import sign_artifact
from tests.unit.service.domain.integrity.artifacts import KEY, NOW, TRUSTED, Files, verified

FILES = Files({"a.bin": b"1"})
_, BUNDLE = sign_artifact(FILES, KEY)
DAY = timedelta(days=1)


def test_the_key_that_signed_is_found_among_several() -> None:
    for curve in ("P-256", "P-384", "P-521"):
        other = EllipticKey.new(curve)
        keys = TRUSTED, TrustedKey("other", other.public_key, other.fingerprint)
        _, bundle = sign_artifact(FILES, other)
        assert verified(FILES, bundle.encode(), None, *keys).key.name == "other"
        with pytest.raises(UntrustedSigner, match="not trusted"):
            verified(FILES, bundle.encode())


def test_a_fingerprint_does_not_make_a_key() -> None:
    impostor = replace(TRUSTED, public_key=EllipticKey.new("P-256").public_key)
    with pytest.raises(UntrustedSigner, match="does not hold"):
        verified(FILES, BUNDLE.encode(), None, impostor)


def test_the_other_spelling_of_an_ecdsa_signature_signs_the_same_and_nothing_else() -> None:
    """Anybody can make it, and half of all signers do: what identifies an artifact is what was signed."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    r, s = decode_dss_signature(BUNDLE.signature)
    other = replace(BUNDLE, signature=encode_dss_signature(r, order - s))
    found = verified(FILES, other.encode(), Expectation(payload_digest=BUNDLE.payload_digest))
    assert found.statement == verified(FILES, BUNDLE.encode()).statement


def test_a_key_is_believed_within_its_validity_and_never_when_it_is_revoked() -> None:
    key = replace(TRUSTED, not_before=NOW - DAY, not_after=NOW + DAY)
    for now in (NOW - DAY, NOW, NOW + DAY):
        assert verified(FILES, BUNDLE.encode(), None, key, now=now)
    with pytest.raises(UntrustedSigner, match="valid from 2026-05-31"):
        verified(FILES, BUNDLE.encode(), None, key, now=NOW - 2 * DAY)
    with pytest.raises(UntrustedSigner, match="valid until 2026-06-02"):
        verified(FILES, BUNDLE.encode(), None, key, now=NOW + 2 * DAY)
    with pytest.raises(UntrustedSigner, match="revoked"):
        verified(FILES, BUNDLE.encode(), None, replace(key, revoked=True))


def test_a_key_for_datasets_signs_no_model() -> None:
    key = replace(TRUSTED, kinds=frozenset({Kind.DATASET}))
    model, dataset = (sign_artifact(FILES, KEY, kind)[1].encode() for kind in (Kind.MODEL, Kind.DATASET))
    assert verified(FILES, dataset, None, key)
    assert verified(FILES, BUNDLE.encode(), Expectation(Kind.DATASET), key)
    with pytest.raises(UntrustedSigner, match="not trusted for a model"):
        verified(FILES, model, None, key)
    with pytest.raises(UntrustedSigner, match="not trusted for a model"):
        verified(FILES, BUNDLE.encode(), Expectation(Kind.MODEL), key)
    with pytest.raises(UntrustedSigner, match="signed as a dataset, and a model is expected"):
        verified(FILES, dataset, Expectation(Kind.MODEL))
    with pytest.raises(UntrustedSigner, match="say which"):
        verified(FILES, BUNDLE.encode(), None, key)


def test_an_older_version_is_refused_although_it_is_validly_signed() -> None:
    third = sign_artifact(FILES, KEY, version=3)[1].encode()
    assert verified(FILES, third, Expectation(minimum_version=3))
    with pytest.raises(RolledBack, match="is version 3, and 4 or later"):
        verified(FILES, third, Expectation(minimum_version=4))
    with pytest.raises(RolledBack, match="names no version"):
        verified(FILES, BUNDLE.encode(), Expectation(minimum_version=0))


def test_a_pinned_payload_tells_artifacts_apart_that_have_the_same_bytes_under_other_names() -> None:
    """The standard's own digest of the whole does not cover the names."""
    one, other = Files({"a.bin": b"1", "b.bin": b"2"}), Files({"c.py": b"1", "d.py": b"2"})
    said, pinned = sign_artifact(one, KEY)
    other_said, swapped = sign_artifact(other, KEY)
    root = [each.encode().rpartition(b'"sha256":"')[2] for each in (said, other_said)]
    assert root[0] == root[1]
    assert verified(one, pinned.encode(), Expectation(payload_digest=pinned.payload_digest))
    with pytest.raises(RolledBack, match=swapped.payload_digest):
        verified(other, swapped.encode(), Expectation(payload_digest=pinned.payload_digest))


def test_no_verification_leaves_anything_to_the_next_one() -> None:
    """Case 50."""
    trees = [Files({f"{number}.bin": b""}) for number in range(10)]
    bundles = [sign_artifact(tree, KEY)[1].encode() for tree in trees]
    for number, tree in enumerate(trees):
        for other, bundle in enumerate(bundles):
            if number == other:
                verified(tree, bundle)
            else:
                with pytest.raises(ArtifactTampered, match="not those that were signed"):
                    verified(tree, bundle)
