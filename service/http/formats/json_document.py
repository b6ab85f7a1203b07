"""JSON bodies of any kind: bytes in, a checked document out, and every fault with its place."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from service.domain.errors import Fault, InvalidInput, UnsupportedFormat
from service.http.errors import faults_of

MEDIA_TYPE = "application/json"
T = TypeVar("T")
Location = tuple[int | str, ...]


def media_type_of(content_type: str | None) -> str:
    """The media type without its parameters; JSON where none is given."""
    return (content_type or MEDIA_TYPE).partition(";")[0].strip().lower()


def require_json(content_type: str | None) -> None:
    """Raise `UnsupportedFormat` for another media type; none at all is taken for JSON."""
    if media_type_of(content_type) != MEDIA_TYPE:
        raise UnsupportedFormat(Fault("Content-Type", f"must be {MEDIA_TYPE}"))


def _as_it_is(location: Location) -> Location:
    return location


def read_document(
    adapter: TypeAdapter[T], body: bytes, example: str, locate: Callable[[Location], Location] = _as_it_is
) -> T:
    """Raises `InvalidInput`; text that is no JSON is at fault as a whole, anything else by its place.

    `locate` turns pydantic's places into those of the document.
    """
    if not body.strip():
        raise InvalidInput(Fault("body", f"is empty; send {example}"))
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(Fault(f"byte {error.start}", "is not UTF-8")) from None
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidInput(*faults_of([{**each, "loc": locate(each["loc"])} for each in errors])) from None
