"""Bodies as inference servers, their clients and their loggers make them, each from the description of its format."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

DATATYPES = {
    "BOOL": "|u1",
    "UINT8": "|u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "|i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


def raw(datatype: str, values: NDArray[Any] | Sequence[bytes]) -> bytes:
    """A tensor's bytes in the binary tensor data extension."""
    if datatype == "BYTES":
        return b"".join(len(each).to_bytes(4, "little") + each for each in values)
    if datatype == "BF16":  # the upper half of a float32, as hardware cuts it
        return bytes((np.asarray(values, "<f4").view("<u4") >> 16).astype("<u2").tobytes())
    return np.asarray(values).astype(DATATYPES[datatype]).tobytes()


def tensor(name: str, datatype: str, shape: Sequence[int], size: int | None = None, **more: Any) -> dict[str, Any]:
    """Its description; with `size` bytes behind the document."""
    parameters = {} if size is None else {"parameters": {"binary_data_size": size}}
    return {"name": name, "shape": list(shape), "datatype": datatype, **parameters, **more}


def v2_binary(
    tensors: Mapping[str, tuple[str, NDArray[Any]]], member: str = "inputs", **more: Any
) -> tuple[bytes, int]:
    """A body of binary tensors, `{name: (datatype, array)}`, and the length of its JSON."""
    blobs = {name: raw(datatype, array) for name, (datatype, array) in tensors.items()}
    described = [tensor(name, datatype, array.shape, len(blobs[name])) for name, (datatype, array) in tensors.items()]
    head = json.dumps({**more, member: described}).encode()
    return head + b"".join(blobs.values()), len(head)


def kserve_headers(kind: str, identifier: str, **more: str) -> dict[str, str]:
    """Of an event as KServe's logger (pkg/logger/worker.go) sends it: binary mode, over Go's CloudEvents SDK.

    The content type is the request's, for its response as well; `ce-metadata` are the request's headers that the
    inference service lists under `metadataHeaders`, as Go writes a map of lists.
    """
    return {
        "Ce-Id": identifier,
        "Ce-Source": "http://localhost:9081/",
        "Ce-Specversion": "1.0",
        "Ce-Time": "2026-08-21T09:30:00.123456789Z",
        "Ce-Type": f"org.kubeflow.serving.inference.{kind}",
        "Ce-Inferenceservicename": "churn",
        "Ce-Namespace": "models",
        "Ce-Component": "predictor",
        "Ce-Endpoint": "default",
        "Ce-Metadata": "{}",
        "Content-Type": "application/json",
        "User-Agent": "Go-http-client/1.1",
        **more,
    }


def npy(header: str, numbers: bytes = bytes(24)) -> bytes:
    """A file whose header says just this; by default with the numbers of 1 x 3 float64."""
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + numbers


def described(descr: str = "'<f8'", shape: str = "(1, 3)") -> str:
    """A header of it."""
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
