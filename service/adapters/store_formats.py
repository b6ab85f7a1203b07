"""How entries say which format they are of, and what becomes of those that are damaged or newer than this release.

A field that a newer release has added to a document is passed over. What can no longer be read that way gets a format
of its own, which older releases refuse by name: that model waits for the newer release, and the others go on.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from service.domain.errors import CorruptedState

T = TypeVar("T")
FORMAT = b"f"
FORMAT_1 = b"1"
FORMAT_2 = b"2"
"""Summaries in place of rows, and the plans that keep them: to a release that knows rows only they would be misfits.
And deliveries of what the gate refused, an outcome that earlier releases do not know."""
FORMAT_3 = b"3"
"""Plans with a budget of false alarms, which an earlier release would judge window by window; and registrations whose
columns are more than numbers: it would test labels, and read codes as values."""
FORMAT_4 = b"4"
"""Plans with seasons, which an earlier release would judge against all of the reference, plans that ask for
performance, which it would pass over, and plans that flag rows, which it would export; and schemas with a column of
times, which it cannot read."""
FORMAT_5 = b"5"
"""Plans whose response says when runs may start: an earlier release would start what waits or is only to be shown."""
_LONGEST_NUMBER = 9


def document(
    fields: dict[bytes, bytes], name: bytes, decode: Callable[[bytes], T], what: str, newest: bytes = FORMAT_1
) -> T:
    """The JSON document of an entry; raises `CorruptedState` saying `what` it was."""
    refuse_newer(fields, what, newest)
    try:
        return decode(fields[name])
    except KeyError as error:
        raise CorruptedState(f"{what} cannot be read: its document is missing") from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise CorruptedState(f"{what} cannot be read: {error}") from error


def refuse_newer(fields: dict[bytes, bytes], what: str, newest: bytes = FORMAT_1) -> None:
    """Raise `CorruptedState` unless the entry is of a format that this release reads, `newest` or an earlier one."""
    number = format_of(fields)
    if number is None:
        raise CorruptedState(f"{what} does not say which format it is of")
    if number > int(newest):
        readable = f"this one reads {newest.decode()}"
        raise CorruptedState(f"{what} is of format {number}, which a newer release wrote: {readable}")


def format_of(fields: dict[bytes, bytes]) -> int | None:
    """The format's number; None if what stands there is none. The first entries did not say."""
    text = fields.get(FORMAT, FORMAT_1)
    return int(text) if len(text) <= _LONGEST_NUMBER and text.isdigit() and int(text) > 0 else None
