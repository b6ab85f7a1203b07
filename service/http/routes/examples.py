"""What bodies look like, for the OpenAPI document."""

from typing import Any

from service.http.formats import (
    REFERENCE_MEDIA_TYPES,
    arrow_stream,
    csv_table,
    npy,
    open_inference,
    parquet,
    rows_document,
)
from service.http.formats.json_document import MEDIA_TYPE
from service.http.formats.json_rows import JsonRowsWithText

_BINARY = {"type": "string", "format": "binary"}
_JSON = {
    "schema": {
        "anyOf": [
            JsonRowsWithText.model_json_schema(),
            {
                "type": "object",
                "title": "KServe V1",
                "properties": {"instances": {"type": "array", "minItems": 1}},
                "required": ["instances"],
            },
            {
                "type": "object",
                "title": "Open Inference Protocol V2",
                "properties": {"inputs": {"type": "array", "minItems": 1, "items": {"type": "object"}}},
                "required": ["inputs"],
            },
        ]
    },
    "examples": {
        "rows": {"value": {"features": ["a", "b"], "rows": [[1.5, 20.0], [0.5, 18.0]]}},
        "columns": {"value": {"columns": {"a": [1.5, 0.5], "b": [20.0, 18.0]}}},
        "categories": {"value": {"columns": {"city": ["Bern", "Genf"], "member": [True, False], "paid": [1.5, 0.5]}}},
        "KServe V1": {"value": {"instances": [[1.5, 20.0], [0.5, 18.0]]}},
        "KServe V1, named": {"value": {"instances": [{"a": 1.5, "b": 20.0}]}},
        "Open Inference Protocol V2": {
            "value": {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1.5, 20.0]}]}
        },
    },
}
_BINARIES = (npy, open_inference, arrow_stream, parquet, rows_document)
_CONTENT: dict[str, Any] = {
    MEDIA_TYPE: _JSON,
    **{name: {"schema": {"type": "string"}, "example": "a,b\n1.5,20\n0.5,18\n"} for name in csv_table.MEDIA_TYPES},
    **{name: {"schema": _BINARY} for each in _BINARIES for name in each.MEDIA_TYPES},
}
REFERENCE_BODIES: dict[str, Any] = {
    "requestBody": {"required": True, "content": {name: _CONTENT[name] for name in REFERENCE_MEDIA_TYPES}}
}
BODIES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {name: _CONTENT[name] for name in REFERENCE_MEDIA_TYPES if name not in parquet.MEDIA_TYPES},
    }
}
_EVENT = {
    "specversion": "1.0",
    "id": "5b1f7f0e",
    "source": "http://localhost:9081/",
    "type": "org.kubeflow.serving.inference.request",
    "time": "2026-01-31T12:00:00Z",
    "inferenceservicename": "churn",
    "datacontenttype": MEDIA_TYPE,
    "data": {"instances": [[1.5, 20.0]]},
}
EVENT_BODIES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The bytes of a request or a response (headers `ce-...`), or a CloudEvent as JSON.",
        "content": {
            "application/cloudevents+json": {"schema": {"type": "object"}, "example": _EVENT},
            MEDIA_TYPE: {"schema": {"type": "object"}, "example": _EVENT["data"]},
            open_inference.MEDIA_TYPES[0]: {"schema": _BINARY},
        },
    }
}
