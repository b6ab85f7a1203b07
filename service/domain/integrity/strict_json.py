"""JSON as a signature may have it: every member once, none that is unknown, every type as it should be."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from service.domain.errors import UnusableSignature

T = TypeVar("T")


def parsed(text: bytes, what: str) -> dict[str, Any]:
    """A document that is an object. Raises `UnusableSignature`."""
    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise UnusableSignature(f"{what} is nested too deeply") from None
    except ValueError as error:
        said = error.msg if isinstance(error, json.JSONDecodeError) else "it is not JSON in UTF-8"
        said = str(error) if isinstance(error, _Refused) else said
        raise UnusableSignature(f"{what} cannot be read: {said}") from None
    return of_type(document, dict, what)


def of_type(value: Any, wanted: type[T], what: str) -> T:
    """A truth value is not a number here."""
    if type(value) is not wanted:
        raise UnusableSignature(f"{what} is not of the type {_WORDS[wanted]}")
    return value


def member(document: Mapping[str, Any], name: str, wanted: type[T], what: str) -> T:
    """One that has to be there."""
    if name not in document:
        raise UnusableSignature(f"{what} has no {name}")
    return of_type(document[name], wanted, f"{name} of {what}")


def nothing_but(document: Mapping[str, Any], names: set[str], what: str) -> None:
    """Members that nobody knows the meaning of may change the meaning of the others."""
    if not document.keys() <= names:
        raise UnusableSignature(f"{what} has a member that is none of {', '.join(sorted(names))}")


def each(values: list[Any], read: Callable[[Any, str], T], what: str) -> list[T]:
    """Entries of a list, each under a name that says where it is."""
    return [read(value, f"{what}[{number}]") for number, value in enumerate(values)]


class _Refused(ValueError):
    """What the standard library would take."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise _Refused("an object has a member twice")
    return document


def _no_number(_: str) -> NoReturn:
    raise _Refused("NaN and infinities are not JSON")


_WORDS: dict[type, str] = {dict: "object", list: "list", str: "string", bool: "true or false", int: "whole number"}
