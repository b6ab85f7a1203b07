"""Files of every kind, made here: nothing of it is ever loaded."""

import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
import zlib
from bz2 import compress as bzip2
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from service.domain.integrity.contents.content import Look
from service.domain.integrity.contents.look import look


@dataclass
class Counted:
    """A source that counts what is read of it."""

    content: bytes
    size: int = 0
    read_bytes: int = 0

    def __post_init__(self) -> None:
        self.size = self.size or len(self.content)

    def read(self, offset: int, count: int, /) -> bytes:
        """Zeros, where the content ends before the size."""
        assert 0 <= offset <= self.size
        assert count >= 0
        count = min(count, self.size - offset)
        self.read_bytes += count
        return self.content[offset : offset + count].ljust(count, b"\0")


def seen(content: bytes, name: str = "model.bin") -> Look:
    return look(Counted(content), name)


class Evil:
    """What a pickle can do: here it would only print."""

    def __reduce__(self) -> tuple[object, ...]:
        return print, ("executed",)


def pickled(protocol: int = 4) -> bytes:
    return pickle.dumps({"weights": [1.5] * 9, "evil": Evil()}, protocol)


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def tarred(files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def array(values: object, dtype: object = None) -> bytes:
    made = io.BytesIO()
    np.save(made, np.array(values, dtype), allow_pickle=True)  # type: ignore[call-overload]
    return made.getvalue()


def tensors(header: object, numbers: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + numbers


TENSORS = tensors(
    {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "b": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]},
    },
    bytes(12),
)


def field(number: int, value: int | bytes) -> bytes:
    """Of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def onnx(domain: bytes = b"", location: bytes | None = None) -> bytes:
    node = field(1, b"x") + field(2, b"y") + field(4, b"Relu")
    external = b"" if location is None else field(13, field(1, b"location") + field(2, location)) + field(14, 1)
    tensor = field(1, 2) + field(2, 1) + field(8, b"w") + (external or field(9, bytes(8)))
    graph = field(1, node) * 3 + field(2, b"g") + field(5, tensor)
    return field(1, 8) + field(2, b"pytorch") + field(7, graph) + field(8, field(1, domain) + field(2, 17))


def saved_model(operator: bytes) -> bytes:
    return field(1, 1) + field(2, field(2, field(1, field(1, b"node") + field(2, operator))))


def hdf5(*words: bytes) -> bytes:
    return b"\x89HDF\r\n\x1a\n" + bytes(99) + b"\0".join(words)


KERAS = {"module": "keras", "class_name": "Sequential", "config": {"layers": [{"module": "keras.layers"}]}}
LAMBDA = {"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda", "module": "keras.layers"}]}}
BYTECODE = struct.pack("<H2s12x", 3495, b"\r\n")
WINDOWS = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0"
TORCH = {"fraud/data.pkl": pickled(2), "fraud/data/0": bytes(64), "fraud/version": b"3\n"}
ZF_JOBLIB = b"ZF" + hex(99).ljust(19).encode() + zlib.compress(pickled(2))

CODE: dict[str, bytes] = {
    **{f"protocol{protocol}": pickled(protocol) for protocol in range(6)},
    "model.safetensors": pickled(),
    "torch.pt": zipped(TORCH),
    "torch-deflated.pt": zipped(TORCH, zipfile.ZIP_DEFLATED),
    "torch-legacy.pt": pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickled(2),
    "torch-ancient.pt": tarred({"storages": b"", "pickle": pickled(2)}),
    "script.pt": zipped({"m/code/m.py": b"def forward(self): pass", "m/data/0": b"\0"}),
    "model.joblib": pickled(3),
    "zlib.joblib": zlib.compress(pickled(3)),
    "gzip.joblib": gzip.compress(pickled(3)),
    "bzip2.joblib": bzip2(pickled(3)),
    "xz.joblib": lzma.compress(pickled(3)),
    "lzma.joblib": lzma.compress(pickled(3), lzma.FORMAT_ALONE),
    "old.joblib": ZF_JOBLIB,
    "objects.npy": array([{}], object),
    "records.npy": array([(1, None)], [("a", "<f8"), ("b", "O")]),
    "objects.npz": zipped({"a.npy": array([{}], object)}, zipfile.ZIP_DEFLATED),
    "lambda.keras": zipped({"config.json": json.dumps(LAMBDA).encode(), "metadata.json": b"{}"}),
    "module.keras": zipped({"config.json": b'{"class_name": "function", "module": "builtins"}'}),
    "lambda.h5": hdf5(b"model_config", json.dumps(LAMBDA).encode()),
    "saved_model.pb": saved_model(b"EagerPyFunc"),
    "run": b"#!/bin/sh\nid\n",
    "modeling.py": b"import os\n",
    "setup.SH": b"id",
    "evil.pth": b"# paths\nimport os; os.system('id')\n",
    "module.pyc": BYTECODE,
    "native": b"\x7fELF\2\1\1",
    "native.exe": WINDOWS,
    "native.dylib": b"\xcf\xfa\xed\xfe\7\0\0\1",
    "native.wasm": b"\0asm\1\0\0\0",
    "Evil.class": b"\xca\xfe\xba\xbe\0\0\0\x34",
    "evil.jar": zipped({"META-INF/MANIFEST.MF": b"", "Evil.class": b"\xca\xfe\xba\xbe\0\0\0\x34"}),
    "evil.tar.gz": gzip.compress(tarred({"a.txt": b"a", "b/evil.py": b"import os"})),
    "evil.tar.xz": lzma.compress(tarred({"a" * 150: b"a", "evil": b"\x7fELF"}, tarfile.GNU_FORMAT)),
    "nested.zip": zipped({"a.zip": zipped({"m.pkl": pickled()}, zipfile.ZIP_DEFLATED)}),
}
MAY: dict[str, bytes] = {
    "picture.py": b"GIF89a=1\nimport os",
    "lz4.joblib": b"\x04\x22\x4d\x18" + bytes(40),
    "model.tar.zst": b"\x28\xb5\x2f\xfd" + bytes(40),
    "model.keras": zipped({"config.json": json.dumps(KERAS).encode(), "model.weights.h5": hdf5()}),
    "model.h5": hdf5(b"model_config", json.dumps(KERAS).encode()),
    "frame.h5": hdf5(b"PYTABLES_FORMAT_VERSION"),
    "saved_model.pb": saved_model(b"MatMul"),
    "model.skops": zipped({"schema.json": b'{"__loader__": "ObjectNode"}'}),
    "model.rds": gzip.compress(b"X\n\0\0\0\3\0\4\1\0"),
    "model.RData": bzip2(b"RDX3\nX\n\0\0\0\3"),
    "model.ser": b"\xac\xed\0\5sr",
    "config.yaml": b"a: !!python/object/apply:os.system [id]\n",
    "jsonpickle.json": b'{"py/object": "os.x"}',
    "config.json": b'{"auto_map": {"AutoModel": "modeling.Model"}}',
    "notebook.ipynb": b"{}",
    "model.pkl": b"\0\1\2\3",
    "deep.gz": gzip.compress(zlib.compress(gzip.compress(gzip.compress(pickled())))),
    "truncated.zip": zipped(TORCH)[:-40],
    "bad-header.npy": b"\x93NUMPY\1\0\6\0(((((\n",
    "long-header.npy": b"\x93NUMPY\2\0\xff\xff\xff\xff" + b" " * 99,
    "members.tar.gz": gzip.compress(tarred({"a.csv": b"1,2\n"})[:1024]) + gzip.compress(tarred({"evil": b"\x7fELF"})),
    "damaged.gz": b"\x1f\x8b\x08" + b"\xff" * 40,
}
DATA: dict[str, bytes] = {
    "README.md": b"# A model\n\nIt was trained on caf\xc3\xa9s.\n",
    "vocab.txt": b"cat\ndog\nbone\nR\n",
    "vocab.csv": b"column,other\n1,2\n",
    "latin.csv": "caf\u00e9;1\n".encode("latin-1"),
    "wide.csv": "a,b\n".encode("utf-16"),
    "empty": b"",
    "model.txt": b"tree\nversion=v4\nnum_class=1\n",
    "xgboost.json": b'{"learner": {"attributes": {}}}',
    "xgboost.ubj": b"{L\0\0\0\0\0\0\0\7learner{",
    "config.json": b'{"architectures": ["BertModel"]}',
    "model.safetensors": TENSORS,
    "empty.safetensors": tensors({}),
    "padded.safetensors": tensors(b"{}      "),
    "numbers.npy": array([[1.5, 2]]),
    "texts.npy": array(["a", "b"]),
    "dates.npy": array(["2026-01-01"], "datetime64[D]"),
    "records.npy": array([(1, (2, 3))], [("O", "<f8"), ("b", "<i4", (2,))]),
    "numbers.npz": zipped({f"{number}.npy": array([number]) for number in range(9)}, zipfile.ZIP_DEFLATED),
    "model.gguf": b"GGUF\3\0\0\0" + bytes(16),
    "model.onnx": onnx(),
    "weights.h5": hdf5(b"kernel:0"),
    "table.parquet": b"PAR1" + bytes(9) + b"PAR1",
    "rows.csv.gz": gzip.compress(b"a,b\n1,2\n"),
    "nothing.gz": gzip.compress(b""),
    "many.npz": zipped({f"{number}.npy": array(range(999)) for number in range(300)}, zipfile.ZIP_DEFLATED),
    "stored.npz": zipped({f"{number}.npy": array(range(999)) for number in range(300)}),
    "rows.tar": tarred({"a.csv": b"1,2\n", "b.csv": b"3\n"}),
}
