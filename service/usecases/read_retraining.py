"""Show what was decided and done about a model's retraining, and hand its record out."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from service.domain.errors import NoSigningKey, UnknownModel, UnknownRun
from service.domain.integrity.envelope import Bundle, signed_bytes
from service.domain.models import ModelName
from service.domain.retraining.held_up import HeldUp, held_up
from service.domain.retraining.provenance import provenance
from service.domain.retraining.record import Line, RetrainingState, Step
from service.domain.retraining.signed_head import NOTHING, Head
from service.domain.retraining.transitions import state_of
from service.ports import Clock, PrivateKey, RetrainingRecord, VerdictLog
from service.usecases.registered_models import RegisteredModels

MOST_LOOKED_AT = 2_000
"""Entries among which a run is looked for."""
_A_TIME = 100
_DECISIONS = 20
"""Latest entries that say why nothing is started."""


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Entries, newest first, and how things are now."""

    state: RetrainingState
    lines: Sequence[Line]
    before: int | None
    """Ask for those before this number next; None: there are no more."""
    held_up: Sequence[HeldUp]
    """Why drift starts no run now; of a model that is not registered any more, nothing."""


class ReadRetraining:
    """Reads only."""

    def __init__(
        self,
        models: RegisteredModels,
        record: RetrainingRecord,
        verdicts: VerdictLog,
        clock: Clock,
        key: PrivateKey | None,
    ) -> None:
        """`key`: signs what is handed out; None: nothing does."""
        self._models = models
        self._record = record
        self._verdicts = verdicts
        self._clock = clock
        self._key = key

    async def page(self, model: ModelName, limit: int, before: int | None) -> RecordPage:
        """Also of a model that was deleted. Raises `UnknownModel` for one that never had a record."""
        newest = await self._newest(model)
        held = await self._held_up(model, newest)
        if newest is None:
            return RecordPage(RetrainingState(), (), None, held)
        last = newest.entry.number if before is None else min(before - 1, newest.entry.number)
        lines = await self._until(model, last, limit)
        first = lines[0].entry.number if lines else 1
        return RecordPage(state_of(newest), lines[::-1], first if first > 1 else None, held)

    async def run(self, model: ModelName, name: str) -> Sequence[Line]:
        """All entries of one run, oldest first. Raises `UnknownModel`, `UnknownRun`."""
        newest = await self._newest(model)
        found, last = list[Line](), 0 if newest is None else newest.entry.number
        for _ in range(MOST_LOOKED_AT // _A_TIME):
            lines = await self._until(model, last, _A_TIME)
            of_it = [line for line in lines if line.entry.run == name]
            found = [*of_it, *found]
            if not lines or any(_begins(line) for line in of_it):
                break
            last = lines[0].entry.number - 1
        if not found:
            raise UnknownRun("no run of this name stands in the latest entries of the model's record")
        return found

    async def handed_out(self, model: ModelName) -> AsyncIterator[bytes]:
        """The lines as they were hashed, and the signature over where they end. Raises `UnknownModel` at once."""
        newest = await self._newest(model)
        first = [] if newest is None else await self._record.page(model, 0, _A_TIME)
        return self._lines(model, newest, first)

    async def provenance(self, model: ModelName, name: str) -> bytes:
        """Who made the run's model from what. Raises `UnknownRun`, `WrongMoment`, `NoSigningKey`."""
        key = self._key
        if key is None:
            raise NoSigningKey("set DRIFT_TRIGGER__SIGNING_KEY_FILE: provenance that nobody signs says nothing")
        lines = await self.run(model, name)
        return _signed(provenance(lines, f"urn:driftwarden:service:{key.fingerprint}"), key)

    async def _held_up(self, model: ModelName, newest: Line | None) -> Sequence[HeldUp]:
        try:
            registration = await self._models.current(model)
        except UnknownModel:
            return ()
        lines = () if newest is None else await self._until(model, newest.entry.number, _DECISIONS)
        verdicts, decided_until = await self._verdicts.latest(model, 1), state_of(newest).decided_until
        if verdicts and verdicts[0].response.silent_until > decided_until + 1:  # there may be an event behind that
            verdicts = await self._verdicts.latest(model, max(1, min(_A_TIME, verdicts[0].number - decided_until)))
        return held_up(registration, lines, verdicts, self._clock())

    async def _newest(self, model: ModelName) -> Line | None:
        newest = await self._record.newest(model)
        if newest is None:
            await self._models.current(model)
        return newest

    async def _until(self, model: ModelName, last: int, limit: int) -> list[Line]:
        """The latest up to that number, oldest first."""
        after = max(0, last - limit)
        lines = await self._record.page(model, after, last - after) if last > after else ()
        return [line for line in lines if line.entry.number <= last]  # older ones may not be kept any more

    async def _lines(self, model: ModelName, newest: Line | None, lines: Sequence[Line]) -> AsyncIterator[bytes]:
        """Up to that one, whatever comes meanwhile."""
        first, last = 1, None
        until = 0 if newest is None else newest.entry.number
        while lines:
            for line in lines:
                if line.entry.number > until:
                    break
                first = line.entry.number if last is None else first
                last = line
                yield line.text + b"\n"
            last_number = lines[-1].entry.number
            lines = await self._record.page(model, last_number, _A_TIME) if last_number < until else ()
        if self._key is not None:
            number, digest = (0, NOTHING) if last is None else (last.entry.number, last.digest)
            yield _signed(Head(model, first, number, digest, self._clock()).encode(), self._key) + b"\n"


def _begins(line: Line) -> bool:
    """Whether a run has no entry before this one: it was asked for, or a drift event was decided."""
    entry = line.entry
    return entry.step is Step.ASKED or (entry.step in {Step.PERMITTED, Step.REFUSED} and not entry.by)


def _signed(payload: bytes, key: PrivateKey) -> bytes:
    return Bundle(payload, key.sign(signed_bytes(payload)), key.fingerprint).encode()
