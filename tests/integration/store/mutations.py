"""Stored state, damaged in every way that bytes can be: seeded, so that a failure can be had again."""

import base64
import json
import random
from collections.abc import Callable
from typing import Any

State = dict[str, Any]
"""Key by key, as tests.conformance.ports.golden.state_files has it."""
JUNK = (b"", b"\x00", b"\xff\xfe", b"null", b"[]", b"{}", b"0", b"-1", b"NaN", b"1e999", b"9" * 400, b"[" * 50_000)


def truncated(chance: random.Random, value: bytes) -> bytes:
    return value[: chance.randrange(len(value))] if value else b""


def flipped(chance: random.Random, value: bytes) -> bytes:
    changed = bytearray(value)
    for _ in range(min(len(changed), chance.choice((1, 1, 3, 20)))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def random_bytes(chance: random.Random, value: bytes) -> bytes:
    return chance.randbytes(chance.choice((1, 8, len(value) or 1)))


def junk(chance: random.Random, value: bytes) -> bytes:  # noqa: ARG001 - like the others
    return chance.choice(JUNK)


def retyped(chance: random.Random, value: bytes) -> bytes:
    """A JSON document in which one value is something else: of another type, or not a number."""
    try:
        document = json.loads(value)
    except ValueError:
        return random_bytes(chance, value)
    places: list[tuple[Any, Any]] = []
    _places(document, places)
    if not places:
        return b"null"
    container, key = chance.choice(places)
    nonsense = (None, "x", -1, 0, 2**70, float("nan"), float("inf"), [], {}, True, "1e9", [[[[1]]]])
    container[key] = chance.choice(nonsense)
    return json.dumps(document).encode()


def _places(node: Any, found: list[tuple[Any, Any]]) -> None:
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        found.append((node, key))
        _places(value, found)


CHANGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    truncated,
    flipped,
    random_bytes,
    junk,
    retyped,
    retyped,
)


def mutated(chance: random.Random, state: State) -> tuple[State, str]:
    """The same state with one value damaged, and what was done to it."""
    damaged: State = json.loads(json.dumps(state))
    key = chance.choice(sorted(damaged))
    value = damaged[key]
    if chance.random() < 0.08:
        other = chance.choice(("string", "list", "stream", "set"))
        damaged[key] = {"type": other, "value": _text(b"x"), "entries": [["1-0", [[_text(b"x"), ""]]]], "members": [""]}
        return damaged, f"{key} of type {other}"
    change = chance.choice(CHANGES)
    if value["type"] == "stream":
        fields = chance.choice(value["entries"])[1]
        field = chance.choice(fields)
        if chance.random() < 0.1:
            fields.remove(field)
            return damaged, f"{key} without {field[0]}"
        if chance.random() < 0.1:
            field[1] = _foreign(chance, damaged)
            return damaged, f"{key} with another's value"
        field[1] = _text(change(chance, base64.b64decode(field[1])))
    elif value["type"] == "set":
        value["members"].append(_text(change(chance, base64.b64decode(value["members"][0]))))
    else:
        value["value"] = _text(change(chance, base64.b64decode(value["value"])))
    return damaged, f"{key} {change.__name__}"


def _foreign(chance: random.Random, state: State) -> str:
    streams = [value for value in state.values() if value["type"] == "stream"]
    entry = chance.choice(chance.choice(streams)["entries"])
    return str(chance.choice(entry[1])[1])


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
