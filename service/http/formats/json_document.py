"""JSON bodies of any kind: bytes in, a checked document out, and every fault with its place."""

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from pydantic import TypeAdapter, ValidationError

from service.domain.errors import Fault, InvalidInput, UnreadableBody, UnsupportedFormat
from service.http.errors import MAXIMUM_FAULTS, faults_of

MEDIA_TYPE = "application/json"
UNDECODABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""What msgspec raises for bytes that are no JSON."""
T = TypeVar("T")
Location = tuple[int | str, ...]
_MEMBER = re.compile(rb'"\s*:')
"""Ends the name of a member; within a string, too, where it costs a second look and nothing else."""


def media_type_of(content_type: str | None) -> str:
    """The media type without its parameters; JSON where none is given."""
    return (content_type or MEDIA_TYPE).partition(";")[0].strip().lower()


def require_json(content_type: str | None) -> None:
    """Raise `UnsupportedFormat` for another media type; none at all is taken for JSON."""
    if media_type_of(content_type) != MEDIA_TYPE:
        raise UnsupportedFormat(Fault("Content-Type", f"must be {MEDIA_TYPE}"))


def no_json(error: Exception, place: str) -> UnreadableBody:
    """What one of `UNDECODABLE` says, without a byte of the body."""
    if isinstance(error, UnicodeDecodeError):
        return UnreadableBody(Fault(place, "is not UTF-8"))
    return UnreadableBody(Fault(place, f"is no JSON: {str(error)[:200]}"))


def _as_it_is(location: Location) -> Location:
    return location


def refuse_what_is_no_text(body: bytes, example: str) -> None:
    """Raise `UnreadableBody` for an empty body, or one that is not UTF-8."""
    if not body.strip():
        raise UnreadableBody(Fault("body", f"is empty; send {example}"))
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise UnreadableBody(Fault(f"byte {error.start}", "is not UTF-8")) from None


def read_document(
    adapter: TypeAdapter[T], body: bytes, example: str, locate: Callable[[Location], Location] = _as_it_is
) -> T:
    """Raises `UnreadableBody` for what is no JSON, and `InvalidInput` for anything else by its place.

    `locate` turns pydantic's places into those of the document.
    """
    refuse_what_is_no_text(body, example)
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        located: dict[Location, Any] = {}
        for each in errors[:MAXIMUM_FAULTS]:  # of a value that may be of several types, what the first has to say
            location = locate(each["loc"])
            located.setdefault(location, {**each, "loc": location})
        faults = faults_of(located.values())
        unreadable = any(each["type"] == "json_invalid" for each in errors)
        raise (UnreadableBody if unreadable else InvalidInput)(*faults) from None


def refuse_many_members(body: bytes, most: int) -> None:
    """Raise `InvalidInput` if it may have more members than that, which takes one quick pass."""
    if len(_MEMBER.findall(body)) > most:
        raise InvalidInput(Fault("body", f"has more than {most} members"))


def refuse_repeated_members(body: bytes, members: int) -> None:
    """Raise `InvalidInput` if a name stands twice in one object: which of the two counts would be chance.

    `members` were read, in all objects together. The document is known to be JSON.
    """
    if len(_MEMBER.findall(body)) > members:
        try:
            json.loads(body, object_pairs_hook=_distinct)
        except (RecursionError, ValueError):  # deeper, or with longer numbers, than this second reader goes
            raise UnreadableBody(Fault("body", "is nested too deeply, or has too long a number")) from None


def not_a_list(error: msgspec.ValidationError, place: str) -> Fault:
    """Why something could not be read as a list of anything at all."""
    said = str(error)
    if "out of range" not in said:
        return Fault(place, "must be a list")
    return Fault(place + said.rpartition("`$")[2].rstrip("`"), "is not a finite number")


def _distinct(members: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in members}) < len(members):
        raise InvalidInput(Fault("body", "names a member twice in one object"))
