"""Routes: parse, call one use case, render."""

from typing import Any

from pydantic import BaseModel

from service.http.errors import MEDIA_TYPE
from service.http.schemas import Problem


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These answers of a route are problem documents."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {status: {"description": "Problem", "content": content} for status in statuses}


def in_one_piece(document: type[BaseModel]) -> dict[str, Any]:
    """Its JSON schema with every definition where it is used: inside the OpenAPI document `$defs` lead nowhere."""
    schema = document.model_json_schema()
    definitions = schema.pop("$defs", {})

    def put_in(node: Any) -> Any:
        if isinstance(node, list):
            return [put_in(child) for child in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            beside = {name: child for name, child in node.items() if name != "$ref"}
            return put_in({**definitions[node["$ref"].rpartition("/")[2]], **beside})
        return {name: put_in(child) for name, child in node.items()}

    whole: dict[str, Any] = put_in(schema)
    return whole
