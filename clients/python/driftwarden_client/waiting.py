"""What waits to be sent, in bounded room, and what became of everything that was offered."""

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

OVERHEAD_BYTES = 1024
"""What a copy costs beside its body: its headers, and the objects that hold them."""


class Dropped(StrEnum):
    """Why a copy did not arrive."""

    FULL = "full"
    """As much waits as may: the sidecar is away, or slower than the application."""
    GAVE_UP = "gave_up"
    """It was tried, or waited, for as long as it may."""
    UNSENT = "unsent"
    """It still waited when the client was closed."""
    TOO_LARGE = "too_large"
    """For this client, or for the sidecar (413)."""
    INVALID = "invalid"
    """No rows of numbers and texts, or none that fit the model's reference (422)."""
    UNREADABLE = "unreadable"
    """Not what its headers say (400)."""
    UNSUPPORTED = "unsupported"
    """A media type or coding that the sidecar does not read (415)."""
    UNKNOWN_MODEL = "unknown_model"
    """Nothing is registered under the model's name (404)."""
    NOT_ALLOWED = "not_allowed"
    """The token is nobody's, or its owner may not hand in rows of this model (401, 403)."""
    REFUSED = "refused"
    """Any other answer that trying again would not change."""
    DEFECT = "defect"
    """An error of this package, which the log shows."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What was taken of an inference, as it is to be sent."""

    path: str
    headers: Mapping[str, str]
    pieces: Sequence[bytes]
    """Of the body, in their order."""
    offered_at: float
    """By the monotonic clock."""

    @property
    def cost(self) -> int:
        """Bytes that it holds, about."""
        return OVERHEAD_BYTES + sum(map(len, self.pieces))


@dataclass(frozen=True, slots=True)
class Counters:
    """Of this process. `offered` is always `accepted`, all that was `dropped` and `waiting` together."""

    offered: int
    """Copies that the application made."""
    accepted: int
    """Copies that the sidecar has acknowledged."""
    dropped: Mapping[str, int]
    """The others that are done with, by `Dropped`."""
    waiting: int
    """Copies that are not done with, the one that is being sent among them."""
    sent: int
    """Requests: every attempt, those that were `retried` among them."""
    retried: int
    """How many of those were for a copy that had been sent before."""
    held_bytes: int
    """What all copies take, those included that are being made."""


class Waiting:
    """First in, first out. Every method returns at once but `next` and `pause`, which are the sender's.

    A sender that is still at work when it is not waited for any longer finds its `term` over, and changes nothing.
    """

    def __init__(self, max_copies: int, max_bytes: int) -> None:
        self._max_copies = max_copies
        self._max_bytes = max_bytes
        # Reentrant: a signal handler, or a finalizer, may offer something on a thread that is just doing so.
        self._changed = threading.Condition(threading.RLock())
        self._copies = deque[Copy]()
        """The first one stays until it is settled."""
        self._held = 0
        self._finishes_at: float | None = None
        self._term = 0
        self._offered = self._accepted = self._sent = self._retried = 0
        self._dropped = Counter[str]()

    @property
    def term(self) -> int:
        """Of the sender that is waited for."""
        return self._term

    def reserve(self, size: int) -> bool:
        """Hold room for a part of a copy that is being made; False where there is none."""
        with self._changed:
            fits = self._held + size <= self._max_bytes
            if fits:
                self._held += size
            return fits

    def give_back(self, size: int) -> None:
        """Leave what was reserved."""
        with self._changed:
            self._held = max(0, self._held - size)  # a fork in the midst of a copy begins with nothing held

    def offer(self, copies: Sequence[Copy], reserved: int = 0) -> bool:
        """Take all of them or none, in the room that is `reserved` for them and what they cost beyond it."""
        with self._changed:
            self._offered += len(copies)
            more = sum(copy.cost for copy in copies) - reserved
            fits = len(self._copies) + len(copies) <= self._max_copies and self._held + more <= self._max_bytes
            if fits:
                self._copies.extend(copies)
                self._held += more
                if len(self._copies) == len(copies):  # there were none, so the sender may be waiting for one
                    self._changed.notify()
            else:
                self._dropped[Dropped.FULL] += len(copies)
                self._held = max(0, self._held - reserved)
            return fits

    def drop(self, reason: Dropped, copies: int = 1) -> None:
        """Count what was offered and cannot be taken."""
        with self._changed:
            self._offered += copies
            self._dropped[reason] += copies

    def next(self, term: int) -> Copy | None:
        """The first that waits, as soon as there is one; None when the sender is to end."""
        with self._changed:
            while self._term == term:
                if self._copies:
                    return self._copies[0]
                if self._finishes_at is not None:
                    return None
                self._changed.wait()
            return None

    def pause(self, seconds: float, term: int) -> None:
        """Wait so long, or until it is time to end."""
        until = time.monotonic() + seconds
        with self._changed:
            while self._term == term and (left := self._until(until) - time.monotonic()) > 0:
                self._changed.wait(left)

    def begin(self, term: int, *, again: bool) -> bool:
        """Count a request; False where it is too late for one."""
        with self._changed:
            if self._term != term or (self._finishes_at is not None and time.monotonic() >= self._finishes_at):
                return False
            self._sent += 1
            self._retried += again
            return True

    def settle(self, term: int, dropped: Dropped | None) -> None:
        """Be done with the first that waits."""
        with self._changed:
            if self._term != term:
                return
            self._held -= self._copies.popleft().cost
            if dropped is None:
                self._accepted += 1
            else:
                self._dropped[dropped] += 1

    def finish(self, at: float) -> None:
        """Let the sender end when nothing waits, or at that moment of the monotonic clock."""
        with self._changed:
            self._finishes_at = at
            self._changed.notify()

    def abandon(self) -> int:
        """Drop what still waits, and say how many; the next sender begins a new term."""
        with self._changed:
            unsent = len(self._copies)
            self._dropped[Dropped.UNSENT] += unsent
            self._held -= sum(copy.cost for copy in self._copies)
            self._copies.clear()
            self._finishes_at = None
            self._term += 1
            self._changed.notify()
            return unsent

    def counters(self) -> Counters:
        """A snapshot."""
        with self._changed:
            dropped = {str(reason): count for reason, count in self._dropped.items() if count}
            return Counters(
                self._offered, self._accepted, dropped, len(self._copies), self._sent, self._retried, self._held
            )

    def _until(self, moment: float) -> float:
        return moment if self._finishes_at is None else min(moment, self._finishes_at)
