"""Routes: parse, call one use case, render."""

from typing import Any

from service.http.errors import MEDIA_TYPE
from service.http.schemas import Problem


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These answers of a route are problem documents."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {status: {"description": "Problem", "content": content} for status in statuses}
