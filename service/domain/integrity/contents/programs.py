"""What is a program as it stands: native code, bytecode, scripts; and text, which is none unless it says so.

Signatures: ELF, PE/COFF, Mach-O and JVM specifications; the WebAssembly core specification; CPython's importlib.
"""

import codecs
import re

from service.domain.integrity.contents.content import Look, code, data, may, unknown
from service.domain.integrity.contents.source import View

_NATIVE = {
    b"\x7fELF": "ELF",
    b"\0asm": "WebAssembly",
    b"!<arch>\n": "static library",
    b"BC\xc0\xde": "LLVM bitcode",
    b"dex\n": "Dalvik bytecode",
    b"\xca\xfe\xba\xbe": "Mach-O or Java class",
    b"\xca\xfe\xba\xbf": "Mach-O",
    b"\xfe\xed\xfa\xce": "Mach-O",
    b"\xfe\xed\xfa\xcf": "Mach-O",
    b"\xce\xfa\xed\xfe": "Mach-O",
    b"\xcf\xfa\xed\xfe": "Mach-O",
}
_OBJECTS = {
    b"\xac\xed\0\5": "serialised Java objects",
    b"RDX2\n": "R workspace",
    b"RDX3\n": "R workspace",
    b"RDA2\n": "R workspace",
    b"RDA3\n": "R workspace",
    b"X\n\0\0\0\2": "R object",
    b"X\n\0\0\0\3": "R object",
    b"A\n2\n": "R object",
    b"A\n3\n": "R object",
}
_SCRIPT = re.compile(r"pyw?|(ba|z|k|c|fi)?sh|[mc]?js|ts|rb|p[lm]|php|r|jl|lua|psm?1|bat|cmd|vbs|groovy")
_MAY_RUN = re.compile(
    r"pkl|pickle|joblib|dill|cloudpickle|pth?|ckpt|pb|h5|hdf5|keras|mar|nemo"
    r"|pyc|so|dll|dylib|exe|jar|class|rds|rda|rdata|engine|plan|trt"
)
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b")) + b"\x7f"
_SCAN_BYTES = 2**20
_NAMES_CODE = re.compile(rb'!python/|tag:yaml\.org,2002:python/|"py/(?:object|reduce|function|type)')
_REMOTE = re.compile(rb'"auto_map"\s*:')
_PATH_LINE = re.compile(rb"^import[ \t]", re.MULTILINE)


def native(view: View) -> Look | None:
    """Machine code, bytecode and scripts with an interpreter, by first bytes."""
    head = view.head
    if head.startswith(b"#!"):
        return code("script")
    form = next((form for magic, form in _NATIVE.items() if head.startswith(magic)), None)
    if form is not None:
        return code(form)
    if head.startswith(b"MZ") and view.source.read(view.number(60, 4), 4) == b"PE\0\0":
        return code("Windows program")
    magic = view.number(0, 2)
    if head[2:4] == b"\r\n" and len(head) >= 16 and (3000 <= magic < 4000 or 60000 <= magic < 63000):
        return code("Python bytecode")
    return next((may(form) for magic, form in _OBJECTS.items() if head.startswith(magic)), None)


def text(view: View) -> Look | None:
    """Text in UTF-8, UTF-16 or an eight-bit encoding: a script if its name says so."""
    if not _is_text(view.head):
        return None
    ending = _ending(view.name)
    if _SCRIPT.fullmatch(ending):
        return code("script")
    return _of_words(view, ending) or (data("text") if view.head else data("nothing"))


def _is_text(head: bytes) -> bool:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            head = codecs.getincrementaldecoder("utf-16")().decode(head).encode("utf-8")
        except UnicodeError:
            return False
    return len(head.translate(None, _CONTROL)) == len(head)


def _of_words(view: View, ending: str) -> Look | None:
    scanned = view.source.read(0, _SCAN_BYTES)
    if ending == "pth" and _PATH_LINE.search(scanned):
        return code("list of paths with a line that Python runs")
    if ending == "ipynb":
        return may("notebook")
    if _NAMES_CODE.search(scanned):
        return may("text that names Python objects to be made")
    if _REMOTE.search(scanned):
        return may("configuration that names Python classes of its own (auto_map)")
    return None


def by_name(view: View) -> Look:
    """What is in no form that is known here: its name may be that of a program or a pickle."""
    ending = _ending(view.name)
    return may(f"not known, and called .{ending}") if _MAY_RUN.fullmatch(ending) else unknown("not known")


def called_script(view: View) -> bool:
    """Whether an interpreter would take it by its name, whatever is in it: a picture can be a script as well."""
    return _SCRIPT.fullmatch(_ending(view.name)) is not None


def _ending(name: str) -> str:
    """Of the last part of the path, in lower case."""
    last = name.rpartition("/")[2]
    return last.rpartition(".")[2].lower() if "." in last else ""
