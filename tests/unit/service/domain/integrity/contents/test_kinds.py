"""Every kind of file is told by what is in it, and what is data is not taken for anything else."""

import pytest

from service.domain.integrity.contents.content import Content
from tests.unit.service.domain.integrity.contents.corpus import CODE, DATA, MAY, onnx, seen

KNOWN = [
    *((name, text, Content.CODE) for name, text in CODE.items()),
    *((name, text, Content.MAY) for name, text in MAY.items()),
    *((name, text, Content.DATA) for name, text in DATA.items()),
    ("weights.bin", bytes(range(256)), Content.UNKNOWN),
    ("wide.bin", b"\xff\xfe" + bytes(64), Content.UNKNOWN),
    ("surrogates.bin", b"\xff\xfe\0\xd8\0\xd8", Content.UNKNOWN),
    ("sentencepiece.model", b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\2", Content.UNKNOWN),
]


@pytest.mark.parametrize(("name", "text", "content"), KNOWN, ids=[f"{content}-{name}" for name, _, content in KNOWN])
def test_a_file_is_what_is_in_it(name: str, text: bytes, content: Content) -> None:
    found = seen(text, name)
    assert found.content is content, found.form


@pytest.mark.parametrize("name", [name for name in CODE if name not in {"modeling.py", "setup.SH", "evil.pth"}])
def test_another_name_makes_no_code_harmless(name: str) -> None:
    assert seen(CODE[name], "weights.safetensors").content is Content.CODE


def test_what_a_file_is_is_said_with_the_place_in_it() -> None:
    assert seen(CODE["torch.pt"]).form == "zip: fraud/data.pkl: pickle of protocol 2"
    assert seen(CODE["evil.tar.gz"], "evil.tar.gz").form == "gzip: tar: b/evil.py: script"


def test_what_an_onnx_model_needs_besides_is_named() -> None:
    assert seen(onnx()).form == "ONNX"
    found = seen(onnx(b"com.example", b"weights.bin"))
    assert (found.content, found.form) == (
        Content.DATA,
        "ONNX with operators of com.example and with numbers in other files",
    )
    assert found.external == ("weights.bin",)
