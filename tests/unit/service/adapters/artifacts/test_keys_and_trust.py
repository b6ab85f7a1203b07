"""Keys in PEM, and the file that says which of them are trusted."""

import json
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from service.adapters.artifacts.elliptic_keys import CURVES, EllipticKey, PassphraseWanted, read_private_key
from service.adapters.artifacts.trust_file import read_trust, trust_in
from service.domain.errors import InvalidConfiguration
from service.domain.integrity.statement import Kind
from tests.unit.service.adapters.artifacts.authorities import ROOT

KEY = EllipticKey.new("P-256")
PEM = KEY.public_key.decode()
ELSEWHERE = Path("/an/artifact")


@pytest.fixture
def trust_file(tmp_path: Path) -> Path:
    (tmp_path / "release.pub").write_bytes(KEY.public_key)
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    return tmp_path / "trust.yaml"


@pytest.mark.parametrize("curve", CURVES)
def test_a_private_key_is_written_for_its_owner_alone_and_read_again(tmp_path: Path, curve: str) -> None:
    key, file = EllipticKey.new(curve), tmp_path / "key.pem"
    key.write(file, None)
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_private_key(file, None).fingerprint == key.fingerprint
    with pytest.raises(FileExistsError):
        EllipticKey.new(curve).write(file, None)


def test_an_encrypted_key_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    KEY.write(file, b"correct horse")
    assert b"ENCRYPTED" in file.read_bytes()
    assert read_private_key(file, b"correct horse").fingerprint == KEY.fingerprint
    with pytest.raises(PassphraseWanted):
        read_private_key(file, None)
    with pytest.raises(InvalidConfiguration, match="with this passphrase") as caught:
        read_private_key(file, b"battery staple")
    assert "battery" not in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256K1()),
        ec.generate_private_key(ec.SECP192R1()),
    ],
    ids=["RSA", "Ed25519", "secp256k1", "P-192"],
)
def test_keys_of_other_kinds_are_refused(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for read in (lambda: read_private_key(private, None), lambda: trust_in(public, ELSEWHERE)):
        with pytest.raises(InvalidConfiguration, match="EC key on P-256"):
            read()


def test_neither_half_is_taken_for_the_other(tmp_path: Path) -> None:
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    KEY.write(private, None)
    public.write_bytes(KEY.public_key)
    with pytest.raises(InvalidConfiguration, match="not a public key"):
        trust_in(private, ELSEWHERE)
    with pytest.raises(InvalidConfiguration, match="not a private key"):
        read_private_key(public, None)


def test_the_file_says_from_when_until_when_and_for_what(trust_file: Path) -> None:
    trust_file.write_text(
        "keys:\n- id: release\n  key: release.pub\n  not_before: 2026-01-01\n"
        "  not_after: 2026-12-31T23:59:59Z\n  kinds: [model, template]\n  revoked: true\n"
    )
    (key,) = read_trust(trust_file, ELSEWHERE).keys
    assert (key.name, key.public_key, key.fingerprint) == ("release", KEY.public_key, KEY.fingerprint)
    assert key.not_before == datetime(2026, 1, 1, tzinfo=UTC)
    assert key.not_after == datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert key.revoked
    assert key.kinds == {Kind.MODEL, Kind.TEMPLATE}


def test_it_may_be_json_with_the_key_in_it(trust_file: Path) -> None:
    other = EllipticKey.new("P-384").public_key.decode()
    keys = [{"id": "a", "key": PEM, "not_before": "2026-01-01"}, {"id": "b", "key": other}]
    trust_file.write_text(json.dumps({"keys": keys}))
    first, second = read_trust(trust_file, ELSEWHERE).keys
    assert first.not_before == datetime(2026, 1, 1, tzinfo=UTC)
    assert (second.not_before, second.not_after, second.revoked, second.kinds) == (None, None, False, set(Kind))


def document(**members: object) -> str:
    return json.dumps({"keys": [{"id": "a", "key": PEM} | members]})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "one member keys"),
        ("[]", "one member keys"),
        ("keys: []", "trusts no key"),
        ("keys: [", "line 1: this is not YAML"),
        ("keys: [\x00]", "not YAML"),
        ("keys: []\nkeys: []", "twice"),
        ("keys: [&a {id: a}, *a]", "alias"),
        ("keys: [!!python/object:os.system {}]", "not YAML"),
        ("keys: !!bool maybe", "not YAML"),
        ("keys: !!int ''", "not YAML"),
        ("keys: [{id: a, not_after: !!timestamp tomorrow}]", "not YAML"),
        ("[" * 1500, "not YAML"),
        ("keys: [{id: a}]", r"keys\[0\] must have id and key"),
        ("keys: [{id: a, key: nothing.pub}]", "nothing.pub cannot be read"),
        (document(id=1), "id must be a text"),
        (document(id="\x1b"), "can be printed"),
        (document(key="-----BEGIN nonsense"), "not a public key"),
        (document(revoked="no"), "revoked must be true or false"),
        (document(kinds=["cake"]), "kinds must be a list"),
        (document(kinds=[]), "kinds must be a list"),
        (document(not_after="tomorrow"), "not_after must be a date"),
        (document(not_after="2026-12-31T00:00:00"), "with its zone"),
        (document(not_after=1), "not_after must be a date"),
        (document(not_before="2027-01-01", not_after="2026-01-01"), "before not_before"),
        (document(expires="2027-01-01"), "must have id and key, and may have"),
        (json.dumps({"keys": [{"id": "a", "key": PEM}, {"id": "b", "key": PEM}]}), "key twice"),
        ("x" * (2**20 + 1), "more than"),
        ("keys: [{id: a, ca: root.pem}]", "must have id, ca, and one or both of subject, alternative_name"),
        ("keys: [{id: a, ca: root.pem, subject: CN=a, key: release.pub}]", "must have id, ca"),
        ("keys: [{id: a, ca: release.pub, subject: CN=a}]", "release.pub is not certificates in PEM"),
        ("keys: [{id: a, ca: root.pem, subject: 1}]", "subject must be a text"),
        ("keys: [{id: a, ca: root.pem, subject: CN=a}, {id: a, ca: root.pem, subject: CN=b}]", "id twice"),
    ],
    ids=map(str, count()),
)
def test_a_file_that_cannot_be_meant_is_refused_and_the_place_named(trust_file: Path, text: str, said: str) -> None:
    trust_file.write_text(text)
    with pytest.raises(InvalidConfiguration, match=said) as caught:
        read_trust(trust_file, ELSEWHERE)
    assert str(trust_file.parent) in str(caught.value)
