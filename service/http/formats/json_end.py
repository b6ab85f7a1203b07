"""Where a JSON object ends that other bytes follow: what `Inference-Header-Content-Length` would have said."""

import re

from service.domain.errors import Fault, UnreadableBody

MAXIMUM_HEAD_BYTES = 64 * 2**10
"""Of names, shapes and types; the search goes no further."""
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)|[{}]', re.DOTALL)
"""Strings as a whole: a brace within one is none. One without an end goes to the end, so that the search is linear."""


def end_of_object(body: bytes) -> int:
    """The length of the JSON object that `body` begins with; raises `UnreadableBody` if none ends early enough."""
    depth = 0
    for token in _TOKEN.finditer(body, 0, MAXIMUM_HEAD_BYTES):
        kind = body[token.start()]
        if kind == ord('"'):
            continue
        depth += 1 if kind == ord("{") else -1
        if depth <= 0:
            return token.end()
    message = f"does not begin with a JSON object of at most {MAXIMUM_HEAD_BYTES} bytes"
    raise UnreadableBody(Fault("body", message))
