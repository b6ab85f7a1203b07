"""A signature that stands beside what it is of, without the envelope: that is made again of what stands there.

DSSE over an in-toto Statement v1, whose predicate's type says what it is a signature of.
"""

import base64
from collections.abc import Callable

from service.domain.integrity.envelope import signed_bytes

_LONGEST_SIGNATURE = 256
"""Characters: an ECDSA signature on P-521 has some 190."""


def carried(statement: bytes, sign: Callable[[bytes], bytes]) -> str:
    """As it is stored."""
    return base64.b64encode(sign(signed_bytes(statement))).decode("ascii")


def is_carried(signature: str | None, statement: bytes, holds: Callable[[bytes, bytes], bool]) -> bool:
    """Whether it is one that `holds`, given its bytes and the message, says is ours."""
    if signature is None or len(signature) > _LONGEST_SIGNATURE:
        return False
    try:
        decoded = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    return holds(decoded, signed_bytes(statement))
