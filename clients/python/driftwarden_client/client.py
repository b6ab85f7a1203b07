"""The client: takes copies of inferences from an application, and sends them from a thread of its own."""

import atexit
import logging
import os
import random
import threading
import time
import uuid
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from driftwarden_client.rows import (
    BYTES_OF_A_NUMBER,
    MEDIA_TYPE,
    TEXT_MEDIA_TYPE,
    NotRows,
    TooManyNumbers,
    document,
    packed,
    with_text,
)
from driftwarden_client.sending import Away, Connection, Way
from driftwarden_client.waiting import Copy, Counters, Dropped, Waiting

_SECONDS_BETWEEN_COMPLAINTS = 60.0
_log = logging.getLogger("driftwarden_client")
_chance = random.Random()  # noqa: S311 - its own: an application that seeds the module's means its own numbers


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait, and for how long."""

    max_copies: int = 10_000
    """That wait to be sent."""
    max_bytes: int = 16 * 2**20
    """Of memory for all copies, those included that are being made."""
    max_copy_bytes: int = 2**20
    """Of the body of one. The sidecar takes 4 MiB, unless told otherwise."""
    patience_seconds: float = 60.0
    """How long a copy is tried, or waits. Below the service's DRIFT_STORE__REMEMBERED_SECONDS (300): for so long it
    knows a copy that comes again."""
    timeout_seconds: float = 5.0
    """Longest wait for one answer."""
    first_retry_seconds: float = 0.1
    """Wait before the sidecar is tried again; doubles with every try ..."""
    longest_retry_seconds: float = 5.0
    """... up to this, and is shortened at random by up to half."""
    flush_seconds: float = 5.0
    """How long what still waits may take when the client is closed."""


class _Complaints:
    """Not one for every copy: a log is slow, too. Of one process and model."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._last = -_SECONDS_BETWEEN_COMPLAINTS
        self._unsaid = 0

    def __call__(self, dropped: Dropped, why: str, error: Exception | None = None, copies: int = 1) -> None:
        now = time.monotonic()
        self._unsaid += copies
        if now - self._last >= _SECONDS_BETWEEN_COMPLAINTS:
            self._last, count, self._unsaid = now, self._unsaid, 0
            message = "inferences of model %s are not copied: %s, %s (%d dropped since the last such line)"
            _log.warning(message, self._model, dropped, why, count, exc_info=error)

    def waits(self, why: str) -> None:
        """Once, when the first copy has to wait."""
        _log.warning("inferences of model %s wait to be copied: %s", self._model, why)


class Client:
    """Hands inferences of one model to a sidecar. May be used from any thread, and from coroutines.

    What an application calls neither waits nor raises; what cannot be sent is dropped and counted. The thread starts
    with the first copy, in a forked process with the first one there: what waits at a fork stays the parent's.
    """

    _thread: threading.Thread | None

    def __init__(
        self,
        url: str,
        model: str,
        *,
        token_file: str | Path | None = None,
        ca_file: str | Path | None = None,
        limits: Limits = Limits(),
    ) -> None:
        """`url`: `http://127.0.0.1:8090`, `unix:///run/driftwarden/http.sock` or `https://...`.

        `token_file` holds what is sent as `Bearer`, and is read anew for every request; `ca_file` the only authorities
        that are believed. Raises `ValueError`, and `OSError` for a `ca_file` that cannot be read.
        """
        if not model:
            raise ValueError("the model has no name")
        self.model = model
        self.limits = limits
        self._way = Way(url, _path(token_file), _path(ca_file), limits.timeout_seconds)
        self._root = f"/v1/models/{quote(model, safe='')}"
        self._begin()
        _clients.add(self)

    def observe(
        self,
        rows: Any,
        *,
        predictions: Any = None,
        features: Sequence[str] | None = None,
        observed_at: datetime | None = None,
    ) -> None:
        """Hand in feature rows of inferences: lists of numbers and texts (categories), a numpy array, a data frame.

        `predictions`, one for each row, are further columns behind the features, if the model's reference has them.
        `features` names all columns, predictions included; without names, they are in the reference's order.
        """
        try:
            time_ms = round((time.time() if observed_at is None else observed_at.timestamp()) * 1000)
            pieces, media_type = _written(rows, predictions, features, time_ms, self.limits.max_copy_bytes)
            if sum(map(len, pieces)) > self.limits.max_copy_bytes:
                raise TooManyNumbers  # noqa: TRY301 - the same to whoever handed them in
            self.offer([self.observations(pieces, {"Content-Type": media_type})])
        except TooManyNumbers:
            self.drop(Dropped.TOO_LARGE)
        except NotRows:
            self.drop(Dropped.INVALID)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not the application's
            self.defect(error)

    def observations(self, pieces: Sequence[bytes], headers: Mapping[str, str]) -> Copy:
        """A copy of a body that holds rows, in any format of the service; sent again, it counts once."""
        named = {**headers, "Idempotency-Key": uuid.uuid4().hex}
        return Copy(f"{self._root}/observations", named, pieces, time.monotonic())

    def event(self, identifier: str, kind: str, pieces: Sequence[bytes], headers: Mapping[str, str]) -> Copy:
        """A copy of one half of an inference, `request` or `response`, which share the identifier."""
        attributes = {
            "ce-specversion": "1.0",
            "ce-id": identifier,
            "ce-source": "driftwarden-client",
            "ce-type": f"dev.driftwarden.inference.{kind}",
            "ce-time": datetime.now(UTC).isoformat(),
        }
        return Copy(f"{self._root}/cloudevents", {**headers, **attributes}, pieces, time.monotonic())

    def offer(self, copies: Sequence[Copy], reserved: int = 0) -> None:
        """Send all of them or none; `reserved` bytes have been reserved for them."""
        if self._waiting.offer(copies, reserved):
            self._see_that_they_are_sent()
        else:
            self._complain(Dropped.FULL, self._why_here(Dropped.FULL), copies=len(copies))

    def reserve(self, size: int) -> bool:
        """Hold room for a part of a copy that is being made; False where there is none."""
        return self._waiting.reserve(size)

    def give_back(self, size: int) -> None:
        """Leave what was reserved."""
        self._waiting.give_back(size)

    def drop(self, reason: Dropped, copies: int = 1) -> None:
        """Count what cannot be offered, and say why."""
        self._waiting.drop(reason, copies)
        self._complain(reason, self._why_here(reason), copies=copies)

    def defect(self, error: Exception, copies: int = 1) -> None:
        """Count and show an error of this package, in place of raising it into the application."""
        self._waiting.drop(Dropped.DEFECT, copies)
        self._complain(Dropped.DEFECT, "a defect of the client", error, copies)

    @property
    def counters(self) -> Counters:
        """What became of all copies of this process."""
        return self._waiting.counters()

    def close(self, seconds: float | None = None) -> None:
        """Send what waits, for so long (`Limits.flush_seconds`), and drop the rest. A later copy begins anew."""
        deadline = time.monotonic() + (self.limits.flush_seconds if seconds is None else seconds)
        with self._starting:
            thread = self._thread
        if thread is not None:
            self._waiting.finish(deadline)
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._starting:
            unsent = self._waiting.abandon()
            self._thread = None
            atexit.unregister(self.close)
        if unsent:
            self._complain(Dropped.UNSENT, "they still waited when the client was closed", copies=unsent)
        if self._waiting.counters().waiting:  # it came in the midst of this
            self._see_that_they_are_sent()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self) -> None:
        """At first, and in a forked process, whose the locks and copies of other threads are not."""
        self._waiting = Waiting(self.limits.max_copies, self.limits.max_bytes)
        self._complain = _Complaints(self.model)
        self._starting = threading.RLock()  # reentrant for the same reason as the lock of what waits
        self._thread = None

    def _why_here(self, reason: Dropped) -> str:
        limits = self.limits
        reasons = {
            Dropped.FULL: f"all max_copies ({limits.max_copies}) or max_bytes ({limits.max_bytes}) wait",
            Dropped.TOO_LARGE: f"more than max_copy_bytes ({limits.max_copy_bytes})",
            Dropped.INVALID: "what was handed in are no rows of numbers and texts, all of one length",
        }
        return reasons.get(reason, "the client cannot copy it")

    def _sends(self) -> bool:
        return self._thread is not None

    def _see_that_they_are_sent(self) -> None:
        with self._starting:
            if self._sends():
                return
            sender = _Sender(self.limits, self._waiting, Connection(self._way), self._complain)
            # A daemon: an application that ends without a word to the client is not held up by it.
            thread = threading.Thread(target=sender.run, name=f"driftwarden-{self.model}", daemon=True)
            if self._sends():  # a signal's handler was quicker
                return
            self._thread = thread
            try:
                thread.start()
            except RuntimeError:  # the interpreter is ending, or the machine has no thread left
                self._thread = None
                self._waiting.abandon()
                return
            atexit.register(self.close)


class _Sender:
    """What the thread does. It knows nothing of the client, which another one may have by now."""

    def __init__(self, limits: Limits, waiting: Waiting, connection: Connection, complain: _Complaints) -> None:
        self._limits = limits
        self._waiting = waiting
        self._connection = connection
        self._complain = complain
        self._term = waiting.term
        self._why = ""
        """What the sidecar said last of a copy that it did not take; or why it could not be asked."""
        self._waits = False

    def run(self) -> None:
        """Until the term is over."""
        while (copy := self._waiting.next(self._term)) is not None:
            error = None
            try:
                dropped = self._sent(copy)
            except Exception as raised:  # noqa: BLE001 - those that wait behind it are not to wait for ever
                dropped, error = Dropped.DEFECT, raised
            self._waiting.settle(self._term, dropped)
            if dropped is not None:
                self._complain(dropped, self._why, error)
        self._connection.close()

    def _sent(self, copy: Copy) -> Dropped | None:
        """Why it was dropped, if it was."""
        limits, again = self._limits, False
        pause = limits.first_retry_seconds
        while time.monotonic() < copy.offered_at + limits.patience_seconds:
            if not self._waiting.begin(self._term, again=again):
                return Dropped.UNSENT
            try:
                answer = self._connection.post(copy)
            except Away as away:
                later, self._why = 0.0, f"{self._connection.url} cannot be reached: {away.__cause__ or away}"
            else:
                self._why = f"{self._connection.url} says {answer.said}"
                if answer.later is None:
                    self._waits = False
                    return answer.dropped
                later = min(answer.later, limits.patience_seconds)
            if not self._waits:
                self._waits = True
                self._complain.waits(self._why)
            again = True
            # Only so that clients do not all come back at once.
            self._waiting.pause(max(later, pause * _chance.uniform(0.5, 1.0)), self._term)
            pause = min(2 * pause, limits.longest_retry_seconds)
        return Dropped.GAVE_UP


def _written(
    rows: Any, predictions: Any, features: Sequence[str] | None, time_ms: int, most_bytes: int
) -> tuple[Sequence[bytes], str]:
    """In pieces, with their media type."""
    most = most_bytes // BYTES_OF_A_NUMBER
    try:
        return document(*packed(rows, predictions, most), features, time_ms), MEDIA_TYPE
    except NotRows:
        return [with_text(rows, predictions, features, time_ms, most)], TEXT_MEDIA_TYPE


def _path(file: str | Path | None) -> Path | None:
    return None if file is None else Path(file)


_clients: "weakref.WeakSet[Client]" = weakref.WeakSet()


def _begin_anew_in_a_forked_process() -> None:
    for client in list(_clients):
        client._begin()  # noqa: SLF001 - it is the class's own affair, told by a function


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_a_forked_process)
