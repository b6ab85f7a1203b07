"""What people say of a run: go on, it is over, this is its model, that model is in use, or the reference stays."""

from service.domain.errors import TriggerRejected, TriggerUnavailable, UnknownRun, WrongMoment
from service.domain.models import ModelName, TriggerOutcome
from service.domain.retraining.record import Entry, Line, Phase, Step
from service.domain.retraining.run import Progress, RunSeen
from service.domain.retraining.transitions import ended, not_renewed, released, served, state_of, told
from service.ports import Clock, ObservationLog, RetrainingRecord, Runs
from service.usecases.read_retraining import ReadRetraining
from service.usecases.record_entries import add


class SteerRuns:
    """Each of these is an entry of the record with the name of whoever said it."""

    def __init__(
        self, read: ReadRetraining, record: RetrainingRecord, log: ObservationLog, runs: Runs | None, clock: Clock
    ) -> None:
        """`runs` None: this process has nothing to do with the target."""
        self._read = read
        self._record = record
        self._log = log
        self._runs = runs
        self._clock = clock

    async def release(self, model: ModelName, run: str, by: str) -> None:
        """Let a suspended run go on.

        Raises `UnknownRun`, `WrongMoment`, `TriggerUnavailable`, `TriggerRejected`, and errors of the store.
        """
        released(await self._record.newest(model), run, self._clock(), "")  # raises unless it waits
        if self._runs is None:
            raise TriggerRejected(
                "this process starts no runs: ask one that judges windows, or release it in the cluster"
            )
        await self._runs.release(model, run)

        async def release(newest: Line | None) -> Entry:
            return released(newest, run, self._clock(), by)

        try:
            await add(self._record, model, release)
        except (UnknownRun, WrongMoment):
            return  # it has gone on, and come to its end, before this could be written down

    async def give_up(self, model: ModelName, run: str, by: str, reason: str) -> None:
        """It is over, though nobody can see that: the next one may come, after the back-off.

        Raises `UnknownRun`, `WrongMoment` also for a run that can be seen, and errors of the store.
        """
        gone = RunSeen(model, run, Progress.GONE, detail=reason)

        async def end(newest: Line | None) -> Entry:
            return ended(newest, gone, self._clock(), renews=False, by=by)

        await end(await self._record.newest(model))  # raises unless it is started
        if (progress := await self._seen(model, run)) is not Progress.GONE:
            raise WrongMoment(f"the run {run} can be seen, and is {progress}: delete it in the cluster")
        await add(self._record, model, end)

    async def _seen(self, model: ModelName, run: str) -> Progress:
        if self._runs is None:
            return Progress.GONE
        try:
            return (await self._runs.look(model, run)).progress
        except (TriggerUnavailable, TriggerRejected):
            return Progress.GONE

    async def tell_model(self, model: ModelName, run: str, payload_digest: str, by: str) -> None:
        """Which model the run made, by the digest of what that was signed as. Saying it again changes nothing.

        Raises `UnknownModel`, `UnknownRun`, `WrongMoment`, and errors of the store.
        """

        async def tell(newest: Line | None) -> Entry | None:
            before, was_started = await self._so_far(newest, model, run)
            if before == payload_digest:
                return None
            if before is not None:
                raise WrongMoment(f"of the run {run} another model was told before")
            if not was_started:
                raise WrongMoment(f"the run {run} was not started: it has made no model")
            return told(newest, model, run, payload_digest, self._clock(), by)

        await add(self._record, model, tell)

    async def _so_far(self, newest: Line | None, model: ModelName, run: str) -> tuple[str | None, bool]:
        """Which model it is said to have made, and whether it was started.

        Of the run under way the newest entry says so: while one takes days, many events are refused.
        """
        underway = state_of(newest).underway
        if underway is not None and underway.request.name == run:
            return underway.model_digest, underway.phase is not Phase.PERMITTED
        entries = [line.entry for line in await self._read.run(model, run)]
        before = next((entry.model_digest for entry in entries if entry.step is Step.TOLD), None)
        return before, any(_was_started(entry) for entry in entries)

    async def serve(self, model: ModelName, run: str, by: str) -> None:
        """The model that the run made is in use: what comes from now on is its traffic.

        Raises `UnknownRun`, `WrongMoment`, and errors of the store.
        """
        position = await self._log.newest_position(model)

        async def serve(newest: Line | None) -> Entry:
            return served(newest, run, position, self._clock(), by)

        await add(self._record, model, serve)

    async def keep_reference(self, model: ModelName, run: str, by: str, reason: str) -> None:
        """No reference is made of what the run's model sees; the next run may come. Raises as `serve` does."""

        async def keep(newest: Line | None) -> Entry:
            return not_renewed(newest, run, self._clock(), reason, by)

        await add(self._record, model, keep)


def _was_started(entry: Entry) -> bool:
    outcome = None if entry.receipt is None else entry.receipt.outcome
    return entry.step is Step.ENDED or (entry.step is Step.STARTED and outcome is not TriggerOutcome.DRY_RUN)
