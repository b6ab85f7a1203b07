"""Signatures that are damaged, loose, or say what cannot be: each is refused, and the reason is named."""

import base64
import json
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from service.domain.errors import ArtifactTampered, UnsignableArtifact, UntrustedSigner, UnusableSignature
from service.domain.integrity.envelope import MAXIMUM_BUNDLE_BYTES, Bundle, parse_bundle, signed_bytes
from service.domain.integrity.statement import Statement, parse_statement
from service.domain.integrity.tree import Found, Sort
from service.domain.integrity.trust import Expectation
from service.usecases.sign_artifact import sign_artifact
from tests.unit.service.domain.integrity.artifacts import KEY, Files, verified

FILES = Files({"a.bin": b"1", "sub/b.bin": b"2"})
DIGEST = "0" * 64


def bundle(change: Callable[[Any], object] = lambda _: None) -> bytes:
    """Whose envelope is changed after it is signed."""
    document = json.loads(sign_artifact(FILES, KEY)[1].encode())
    change(document)
    return json.dumps(document).encode()


def certified(**chain: object) -> bytes:
    return bundle(lambda it: it.update(verificationMaterial={"x509CertificateChain": chain}))


def signed(payload: bytes) -> bytes:
    return Bundle(payload, KEY.sign(signed_bytes(payload)), KEY.fingerprint).encode()


def statement(change: Callable[[Any], object]) -> bytes:
    """Changed before it is signed: the signer is trusted, and must not be believed everything."""
    document = json.loads(sign_artifact(FILES, KEY)[0].encode())
    change(document)
    return signed(json.dumps(document).encode())


def resources(*names: str) -> bytes:
    return signed(Statement("fraud", dict.fromkeys(names, DIGEST)).encode())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "cannot be read"),
        (b"null", "not of the type object"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe", "not JSON in UTF-8"),
        (b'{"mediaType": NaN}', "not JSON"),
        (b'{"mediaType": 1, "mediaType": 1}', "a member twice"),
        (bundle()[:-1], "cannot be read"),
        (bundle()[: len(bundle()) // 2], "cannot be read"),
        (b" " * (MAXIMUM_BUNDLE_BYTES + 1), "more than"),
        (bundle(lambda it: it.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.2")), "mediaType"),
        (bundle(lambda it: it.update(other=1)), "none of"),
        (bundle(lambda it: it.pop("dsseEnvelope")), "no dsseEnvelope"),
        (bundle(lambda it: it["dsseEnvelope"].update(payloadType="text/plain")), "payloadType"),
        (bundle(lambda it: it["dsseEnvelope"].update(signatures=[])), "0 signatures"),
        (bundle(lambda it: it["dsseEnvelope"]["signatures"].append({"sig": "", "keyid": ""})), "2 signatures"),
        (bundle(lambda it: it["dsseEnvelope"]["signatures"][0].update(keyid="other")), "different keys"),
        (bundle(lambda it: it["dsseEnvelope"]["signatures"][0].update(sig="!")), "not base64"),
        (bundle(lambda it: it["dsseEnvelope"]["signatures"][0].update(sig="QQ==\n")), "base64"),
        (bundle(lambda it: it["dsseEnvelope"]["signatures"][0].update(sig="QR==")), "canonical"),
        (bundle(lambda it: it["dsseEnvelope"].update(payload=1)), "not of the type string"),
        (bundle(lambda it: it["verificationMaterial"]["publicKey"].pop("hint")), "no hint"),
        (bundle(lambda it: it.update(verificationMaterial={"certificate": {}})), "neither key nor certificates"),
        (bundle(lambda it: it["verificationMaterial"].update(x509CertificateChain={})), "none of"),
        (certified(), "no certificates"),
        (certified(certificates=[]), "has 0 certificates"),
        (certified(certificates=[{"rawBytes": "QQ=="}] * 6), "has 6 certificates"),
        (certified(certificates=["QQ=="]), "not of the type object"),
        (certified(certificates=[{"rawBytes": "QR=="}]), "canonical"),
        (certified(certificates=[{"rawBytes": "QQ==", "more": 1}]), "none of"),
        (certified(more=1), "none of"),
        (bundle(lambda it: it["verificationMaterial"].update(tlogEntries=[{}])), "transparency log"),
    ],
    ids=map(str, count()),
)
def test_a_bundle_of_another_form_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(UnusableSignature, match=said):
        parse_bundle(text)


def respaced(document: Any) -> None:
    payload = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    document["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload, indent=1).encode()).decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (respaced, "does not hold"),
        (lambda it: it["dsseEnvelope"]["signatures"][0].update(sig="MAYCAQACAQA="), "does not hold"),
        (lambda it: it["dsseEnvelope"]["signatures"][0].update(sig=""), "does not hold"),
        (lambda it: it["verificationMaterial"]["publicKey"].update(hint="0" * 64), "not trusted"),
        (lambda it: it["verificationMaterial"]["publicKey"].update(hint=KEY.fingerprint.upper()), "not trusted"),
    ],
    ids=["another spelling", "zeros", "empty", "another key", "the key in upper case"],
)
def test_what_the_key_did_not_sign_does_not_hold(change: Callable[[Any], object], said: str) -> None:
    with pytest.raises(UntrustedSigner, match=said):
        verified(FILES, bundle(change))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (signed(b"{}"), "no _type"),
        (statement(lambda it: it.update(_type="https://in-toto.io/Statement/v0.1")), "_type"),
        (statement(lambda it: it.update(predicateType="https://model_signing/Digests/v0.1")), "predicateType"),
        (statement(lambda it: it.update(subject=[])), "0 subjects"),
        (statement(lambda it: it["subject"][0]["digest"].update(sha256=DIGEST)), "not that of the resources"),
        (statement(lambda it: it["predicate"]["resources"].reverse()), "not that of the resources"),
        (statement(lambda it: it["predicate"].update(resources=[])), "names no file"),
        (statement(lambda it: it["predicate"]["resources"].append(it["predicate"]["resources"][0])), "twice"),
        (statement(lambda it: it["predicate"]["resources"][0].update(algorithm="md5")), "algorithm"),
        (statement(lambda it: it["predicate"]["resources"][0].update(digest="A" * 64)), "64 hexadecimal digits"),
        (statement(lambda it: it["predicate"]["resources"][0].update(digest="ab")), "64 hexadecimal digits"),
        (statement(lambda it: it["predicate"]["serialization"].update(hash_type="md5")), "another function"),
        (statement(lambda it: it["predicate"]["serialization"].update(method="shards")), "not supported"),
        (statement(lambda it: it["predicate"]["serialization"].update(shard_size=0)), "none of"),
        (statement(lambda it: it["predicate"]["serialization"].update(ignore_paths=[1])), "ignore_paths"),
        (statement(lambda it: it["predicate"].update(driftwarden={"kind": "cake"})), "kind"),
        (statement(lambda it: it["predicate"].update(driftwarden={"version": -1})), "negative"),
        (statement(lambda it: it["predicate"].update(driftwarden={"version": True})), "whole number"),
        (resources("../x"), "name has"),
        (resources("/etc/passwd"), "absolute"),
        (resources("a//b"), "empty part"),
        (resources("a", "."), "name has"),
        (resources("a\\..\\b"), "backslash"),
        (resources("a\nb"), r"control character: a\\nb"),
        (resources("\ud800"), "not Unicode"),
        (resources("a" * 256), "longer"),
        (resources("A/x", "a/y"), "to be one, A and a"),
        (resources("Model.bin", "model.bin"), "to be one"),
        (resources("caf\u00e9", "cafe\u0301"), "to be one"),
        (resources("a", "a/b"), "a file's and a folder's: a"),
    ],
    ids=map(str, count()),
)
def test_a_statement_that_cannot_be_is_refused_although_its_signature_holds(text: bytes, said: str) -> None:
    files = Files(FILES.contents)
    with pytest.raises(UnusableSignature, match=said):
        verified(files, text)
    assert files.read == []


def test_the_order_of_the_resources_may_be_another_verifiers() -> None:
    """Model Signing's own tool sorts by the parts of a path."""
    names = ["a/z", "a-b"]
    said = json.loads(sign_artifact(Files(dict.fromkeys(names, b"")), KEY)[0].encode())
    assert [each["name"] for each in said["predicate"]["resources"]] == ["a-b", "a/z"]
    said["predicate"]["resources"].reverse()
    assert parse_statement(json.dumps(said).encode()).digests.keys() == set(names)


@pytest.mark.parametrize("ignored", [["."], ["*"], [""], ["/"], [".."]])
def test_an_ignore_list_that_would_cover_everything_covers_nothing(ignored: list[str]) -> None:
    text = statement(lambda it: it["predicate"]["serialization"].update(ignore_paths=ignored))
    for allow_ignored in (False, True):
        with pytest.raises(ArtifactTampered, match=r"not signed: evil\.py"):
            verified(Files(FILES.contents | {"evil.py": b""}), text, Expectation(allow_ignored=allow_ignored))


def test_ignored_files_are_refused_or_allowed_and_named() -> None:
    text = statement(lambda it: it["predicate"]["serialization"].update(ignore_paths=[".git"]))
    there = Files(FILES.contents | {".git/hooks/evil": b""}, (Found(".git/refs", Sort.EMPTY_FOLDER),))
    with pytest.raises(ArtifactTampered, match=r"not signed: \.git/hooks/evil"):
        verified(there, text)
    assert verified(there, text, Expectation(allow_ignored=True)).ignored == (".git/hooks/evil", ".git/refs")
    with pytest.raises(ArtifactTampered, match="gitx"):
        verified(Files(FILES.contents | {".gitx": b""}), text, Expectation(allow_ignored=True))


def test_a_signed_file_is_looked_at_although_it_is_ignored_as_well() -> None:
    text = statement(lambda it: it["predicate"]["serialization"].update(ignore_paths=["sub"]))
    with pytest.raises(ArtifactTampered, match="changed: sub/b"):
        verified(Files(FILES.contents | {"sub/b.bin": b"3"}), text, Expectation(allow_ignored=True))


@pytest.mark.parametrize("sort", [sort for sort in Sort if sort is not Sort.FILE])
def test_what_is_no_file_is_neither_signed_nor_verified(sort: Sort) -> None:
    there = Files(FILES.contents, (Found("odd\x1b[31m", sort),))
    with pytest.raises(UnsignableArtifact, match=rf"{sort.value}: odd\\x1b\[31m"):
        sign_artifact(there, KEY)
    with pytest.raises(ArtifactTampered, match=sort.value) as caught:
        verified(there, bundle())
    assert caught.value.extra == ("odd\x1b[31m",)


@pytest.mark.parametrize("names", [(), ("a\nb",), ("\udcff",), ("README", "readme")])
def test_names_that_mean_different_things_elsewhere_are_not_signed(names: tuple[str, ...]) -> None:
    with pytest.raises(UnsignableArtifact):
        sign_artifact(Files(dict.fromkeys(names, b"")), KEY)


def test_of_many_differences_some_are_named() -> None:
    with pytest.raises(ArtifactTampered, match="and 980 more") as caught:
        verified(Files(FILES.contents | {f"x{number}": b"" for number in range(1000)}), bundle())
    assert len(caught.value.extra) == 1000
