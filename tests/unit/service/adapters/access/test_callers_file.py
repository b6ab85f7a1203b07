"""The file of callers: what may stand in it, and that what is wrong in it is named without being repeated."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.access.callers_file import MAXIMUM_BYTES, CallersFile, _parse, line_of
from service.domain.access import Access, Credentials, Verb, new_key
from service.domain.errors import InvalidConfiguration
from service.domain.models import model_name

pytestmark = pytest.mark.anyio

KEY = new_key(bytes(range(32)))
OTHER = new_key(bytes(32))
DIGEST = "sha256:" + "0a" * 32


def callers(tmp_path: Path, text: str) -> CallersFile:
    path = tmp_path / "callers"
    path.write_text(text, encoding="utf-8")
    return CallersFile(path)


async def test_a_line_that_was_made_lets_its_key_in_and_no_other(tmp_path: Path) -> None:
    made = callers(tmp_path, f"# who\n\n{line_of('pods', KEY, [Verb.INGEST], ['fraud*', 'churn'])}  # since May\n")
    caller = await made.authenticate(Credentials(KEY))
    assert caller is not None
    assert caller.name == "pods"
    assert await made.authenticate(Credentials(OTHER)) is None
    for name, allowed in (("fraud", True), ("fraud-v2", True), ("churn", True), ("churn-2", False), ("frau", False)):
        assert await made.allows(caller, Access(Verb.INGEST, model_name(name))) is allowed
        assert not await made.allows(caller, Access(Verb.READ, model_name(name)))


async def test_a_caller_may_have_two_keys_while_one_replaces_the_other(tmp_path: Path) -> None:
    lines = [line_of("pods", key, [Verb.INGEST], ["*"]) for key in (KEY, OTHER)]
    made = callers(tmp_path, "\n".join(lines))
    for key in (KEY, OTHER):
        found = await made.authenticate(Credentials(key))
        assert found is not None
        assert found.name == "pods"


async def test_the_first_name_of_a_certificate_that_is_known_decides(tmp_path: Path) -> None:
    made = callers(tmp_path, "a certificate:DNS:a.svc read *\nb certificate:URI:spiffe://x/b ingest *\n")
    found = await made.authenticate(Credentials(None, ("URI:spiffe://x/unknown", "URI:spiffe://x/b", "DNS:a.svc")))
    assert found is not None
    assert found.name == "b"
    assert await made.authenticate(Credentials(None, ("CN:a.svc", "DNS:A.svc"))) is None


async def test_a_token_that_is_nobodys_is_not_made_good_by_a_certificate(tmp_path: Path) -> None:
    made = callers(tmp_path, "a certificate:DNS:a.svc read *\nb anonymous ingest *\n")
    assert await made.authenticate(Credentials(OTHER, ("DNS:a.svc",))) is None


async def test_anonymous_is_whoever_brings_nothing_and_nobody_else(tmp_path: Path) -> None:
    made = callers(tmp_path, "loggers anonymous ingest fraud\n")
    found = await made.authenticate(Credentials())
    assert found is not None
    assert found.name == "loggers"
    for credentials in (Credentials(KEY), Credentials(""), Credentials(None, ("CN:x",))):
        assert await made.authenticate(credentials) is None
    assert await callers(tmp_path, "").authenticate(Credentials()) is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pods", "four words"),
        (f"pods {DIGEST} ingest", "four words"),
        (f"pods {DIGEST} ingest * more", "four words"),
        (f"pods {KEY} ingest *", "the credential is"),
        ("pods sha256:abc ingest *", "the credential is"),
        (f"pods {DIGEST.upper()} ingest *", "the credential is"),
        ("pods certificate:spiffe://x ingest *", "the credential is"),
        (f"-pods {DIGEST} ingest *", "the name has"),
        (f"{'p' * 300} {DIGEST} ingest *", "the name has"),
        (f"pods {DIGEST} all *", "verbs are"),
        (f"pods {DIGEST} ingest, *", "verbs are"),
        (f"pods {DIGEST} ingest fraud**", "models are"),
        (f"pods {DIGEST} ingest *fraud", "models are"),
        (f"pods {DIGEST} ingest fraud,", "models are"),
        (f"pods {DIGEST} ingest ../x", "models are"),
        (f"a {DIGEST} ingest *\nb {DIGEST} read *", "this key is in a line above"),
        ("a certificate:CN:x ingest *\nb certificate:CN:x read *", "this certificate is in a line above"),
        ("a anonymous ingest *\nb anonymous read *", "anonymous is in a line above"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_not_repeated(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InvalidConfiguration, match=message) as refused:
        callers(tmp_path, f"# one\n{line}\n")
    number = 2 + line.count("\n")
    assert f"line {number}:" in str(refused.value)
    assert KEY not in str(refused.value)
    assert "abc" not in str(refused.value)


@given(st.text(max_size=200))
def test_whatever_stands_in_it_is_read_or_refused(text: str) -> None:
    try:
        _parse(text)
    except InvalidConfiguration as error:
        assert str(error).startswith("line ")  # noqa: PT017 - it need not be raised


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "callers"
    with pytest.raises(InvalidConfiguration, match=r"CALLERS_FILE.*callers.*No such file"):
        CallersFile(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidConfiguration, match="not UTF-8"):
        CallersFile(path)
    path.write_bytes(b"#" * (MAXIMUM_BYTES + 1))
    with pytest.raises(InvalidConfiguration, match="more than"):
        CallersFile(path)


async def test_a_secret_that_is_swapped_by_its_symbolic_link_is_noticed(tmp_path: Path) -> None:
    """As a kubelet does it: callers -> ..data/callers, ..data -> ..1, and `..data` is replaced by a rename."""
    for version, key in (("..1", KEY), ("..2", OTHER)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "callers").write_text(line_of("pods", key, [Verb.INGEST], ["*"]))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "callers").symlink_to(Path("..data") / "callers")
    made = CallersFile(tmp_path / "callers")
    assert await made.authenticate(Credentials(KEY))
    (tmp_path / "..new").symlink_to("..2")
    os.replace(tmp_path / "..new", tmp_path / "..data")  # noqa: PTH105 - what a kubelet calls
    made.look()
    assert await made.authenticate(Credentials(KEY)) is None
    assert await made.authenticate(Credentials(OTHER))


async def test_a_file_that_is_broken_or_gone_later_changes_nothing_and_is_said_to_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = callers(tmp_path, line_of("pods", KEY, [Verb.INGEST], ["*"]))
    path = tmp_path / "callers"
    path.write_text(f"pods {OTHER} ingest *", encoding="utf-8")
    made.look()
    assert await made.authenticate(Credentials(KEY))
    path.unlink()
    made.look()
    assert await made.authenticate(Credentials(KEY))
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert OTHER not in caplog.text
    path.write_text("", encoding="utf-8")
    made.look()
    assert await made.authenticate(Credentials(KEY)) is None
