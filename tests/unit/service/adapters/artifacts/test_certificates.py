"""A chain of certificates is believed where it leads to the root, holds now, and is for signing; nothing else is."""

from pathlib import Path
from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from service.adapters.artifacts.certificates import certified, read_chain, read_root
from service.adapters.artifacts.elliptic_keys import public_key_in_pem
from service.domain.errors import InvalidConfiguration, UntrustedSigner
from tests.unit.service.adapters.artifacts.authorities import (
    BETWEEN,
    DAY,
    MAIL,
    NOW,
    ROOT,
    SIGNER,
    Made,
    authority,
    signer,
    usage,
)

OTHER_ROOT = authority("root")
NAMED = x509.SubjectAlternativeName([x509.DNSName("build.example.com")])


def chain(*made: Made) -> list[bytes]:
    return [each.der for each in made]


@pytest.mark.parametrize(
    "made",
    [
        (SIGNER, BETWEEN),
        (SIGNER, BETWEEN, ROOT),
        (signer(ROOT),),
        (signer(ROOT, replaced=[(usage(signs=True), True)]),),
        (signer(ROOT, key=ec.generate_private_key(ec.SECP521R1()), hash=hashes.SHA512()),),
    ],
)
def test_a_chain_to_the_root_says_whose_the_key_is(made: tuple[Made, ...]) -> None:
    found = certified(ROOT.der, chain(*made), NOW)
    assert (found.public_key, found.fingerprint) == public_key_in_pem(made[0].key.public_key())
    assert found.subject == "CN=release"
    assert found.alternative_names in (frozenset(), {MAIL, "build.example.com"})


FIRST = authority("first", ROOT)
SECOND = authority("second", FIRST)
THIRD = authority("third", SECOND)
FOURTH = authority("fourth", THIRD)
NO_MORE = authority("no more", ROOT, length=0)
BELOW = authority("below", NO_MORE)
OLD = authority("old", ROOT, ends=-DAY / 2)
ELSEWHERE = authority("elsewhere", ROOT, extensions=[(x509.NameConstraints([x509.DNSName("example.org")], None), True)])
NOT_HERE = authority("not here", ROOT, extensions=[(x509.NameConstraints(None, [x509.DNSName("example.com")]), True)])
RSA = authority("rsa", ROOT, key=rsa.generate_private_key(65537, 2048))
WEAK = authority("weak", ROOT, key=ec.generate_private_key(ec.SECP192R1()))
UNKNOWN = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\5\0")


@pytest.mark.parametrize(
    "made",
    [
        (SIGNER,),
        (SIGNER, ROOT),
        (SIGNER, OTHER_ROOT),
        (SIGNER, BETWEEN, OTHER_ROOT),
        (signer(OTHER_ROOT),),
        (signer(authority("between")), BETWEEN),
        (BETWEEN, SIGNER),
        (SIGNER, ROOT, BETWEEN),
        (SIGNER, BETWEEN, FIRST),
        (SIGNER, BETWEEN, BETWEEN),
        (BETWEEN,),
        (ROOT,),
        (signer(SIGNER), SIGNER, BETWEEN),
        (signer(BELOW), BELOW, NO_MORE),
        (signer(FOURTH), FOURTH, THIRD, SECOND, FIRST),
        (signer(ROOT, begins=DAY / 2),),
        (signer(ROOT, ends=-DAY / 2),),
        (signer(OLD), OLD),
        (signer(ROOT, replaced=[(NAMED, False)]),),
        (signer(ROOT, replaced=[(usage(signs=False), True), (NAMED, False)]),),
        (
            signer(
                ROOT,
                replaced=[(usage(signs=True), True), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)],
            ),
        ),
        (signer(ROOT, more=[(x509.BasicConstraints(ca=True, path_length=None), True)]),),
        (signer(ROOT, more=[(UNKNOWN, True)]),),
        (signer(ELSEWHERE, replaced=[(usage(signs=True), True), (NAMED, False)]), ELSEWHERE),
        (signer(NOT_HERE, replaced=[(usage(signs=True), True), (NAMED, False)]), NOT_HERE),
        (signer(RSA), RSA),
        (signer(WEAK), WEAK),
        (signer(ROOT, key=rsa.generate_private_key(65537, 2048)),),
        (signer(ROOT, key=ec.generate_private_key(ec.SECP192R1())),),
    ],
)
def test_any_other_chain_is_refused(made: tuple[Made, ...]) -> None:
    with pytest.raises(UntrustedSigner):
        certified(ROOT.der, chain(*made), NOW)


def test_what_these_chains_are_refused_for_is_that_fault_alone() -> None:
    """The same with the fault mended is believed."""
    within = authority("within", ROOT, extensions=[(x509.NameConstraints([x509.DNSName("example.com")], None), True)])
    one_more = authority("one more", ROOT, length=1)
    below = authority("below", one_more)
    young = authority("young", ROOT, ends=DAY / 2)
    for made in (
        (signer(below), below, one_more),
        (signer(young), young),
        (signer(THIRD), THIRD, SECOND, FIRST),
        (signer(ROOT, more=[(UNKNOWN, False)]),),
        (signer(ROOT, more=[(x509.BasicConstraints(ca=False, path_length=None), True)]),),
        (signer(within, replaced=[(usage(signs=True), True), (NAMED, False)]), within),
    ):
        assert certified(ROOT.der, chain(*made), NOW)


def test_a_root_that_has_ended_certifies_nobody() -> None:
    ended = authority("root", ends=-DAY / 2)
    with pytest.raises(UntrustedSigner):
        certified(ended.der, chain(signer(ended)), NOW)
    assert certified(ended.der, chain(signer(ended)), NOW - DAY * 3 / 4)


def test_a_certificate_that_is_signed_over_sha_1_is_refused() -> None:
    """Made by `openssl x509 -req -sha1`, and with -sha256, for the same key and by the same root."""
    root, right, weak = read_chain(Path(__file__).with_name("weak_hash.pem").read_bytes(), "weak_hash.pem")
    assert certified(root, [right], NOW).subject == "CN=release"
    with pytest.raises(UntrustedSigner):
        certified(root, [weak], NOW)


def test_it_is_now_that_has_to_be_within_the_validity() -> None:
    for now in (NOW - 2 * DAY, NOW + 2 * DAY):
        with pytest.raises(UntrustedSigner):
            certified(ROOT.der, chain(SIGNER, BETWEEN), now)


def test_nothing_that_a_certificate_says_can_be_changed() -> None:
    """Its signature has several spellings, as every one of ECDSA; what it signs has one."""
    random = Random(7)  # noqa: S311 - nothing secret
    for number, clean in enumerate((SIGNER, BETWEEN)):
        for _ in range(400):
            dirty = bytearray(clean.der)
            dirty[random.randrange(len(dirty))] ^= 1 << random.randrange(8)
            made = [SIGNER.der, BETWEEN.der]
            made[number] = bytes(dirty[: random.choice([len(dirty), random.randrange(len(dirty))])])
            try:
                certified(ROOT.der, made, NOW)
            except UntrustedSigner:
                continue
            said = x509.load_der_x509_certificate(made[number]).tbs_certificate_bytes
            assert said == clean.certificate.tbs_certificate_bytes


def test_files_that_are_no_certificates_are_named() -> None:
    for text, said in (
        (b"", "not certificates in PEM"),
        (SIGNER.key_pem, "not certificates in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not certificates in PEM"),
        (ROOT.pem * 2, "must have one"),
        (RSA.pem, "not an EC key"),
    ):
        with pytest.raises(InvalidConfiguration, match=f"root.pem.*{said}"):
            read_root(text, "root.pem")
    with pytest.raises(InvalidConfiguration, match="more than 5"):
        read_chain(SIGNER.pem * 6, "chain.pem")
