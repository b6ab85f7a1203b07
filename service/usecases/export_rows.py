"""Give back the rows of judged windows, for labelling or retraining, while the log retains them.

What learns from them must not learn from what was flagged: such rows are left out where the plan keeps them apart.

What cannot be given whole is refused before anything is given where that can be told, and cut off with an error where
it shows only later (rows may be dropped while they are read): it never looks whole.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from detectors.anomaly.labels import OK, Labels
from service.domain.client_share import ClientRows, Sender
from service.domain.errors import CorruptedState, Fault, InvalidSpan, RowsGone, RowsNeverKept, UnknownVerdict
from service.domain.models import BatchPosition, ModelName, Verdict, is_after
from service.domain.registration import Registration
from service.domain.windows import RecentIdentifiers
from service.domain.windows.excerpt import Extent, WindowRows, excerpt
from service.ports import JudgedBatches, Registrations, VerdictLog
from service.usecases.column_order import ColumnOrder
from service.usecases.fitted_models import FittedModels
from service.usecases.label_again import LabelAgain
from service.usecases.registered_models import RegisteredModels

MAXIMUM_VERDICTS = 1_000
"""Whose rows may be asked for at once."""
READ_BATCHES = 256


@dataclass(frozen=True, slots=True)
class Span:
    """Verdicts that follow one another, both ends included."""

    first: int
    last: int | None
    """None: up to the newest."""
    flagged: bool = False
    """Also rows that the plan keeps apart; every row with its label then."""


@dataclass(frozen=True, slots=True)
class ExportedRows:
    """Rows of one window and one batch."""

    verdict: int
    of: WindowRows
    labels: Labels | None = None
    """Of each row, places in `detectors.anomaly.labels.NAMES`; None where they are not asked for."""


@dataclass(frozen=True, slots=True)
class Export:
    """What is given: all rows of the windows, one window after another, each in the log's order."""

    model: ModelName
    features: tuple[str, ...]
    """The columns: those of the registration that the verdicts were made under."""
    categories: Mapping[str, tuple[str, ...]]
    """Of the categorical ones, whose values are codes in the rows; those of all these registrations together."""
    verdicts: tuple[Verdict, ...]
    labelled: bool
    """Whether rows have their labels with them."""
    pieces: AsyncIterator[ExportedRows]
    """Raises `RowsGone`, `StoreUnavailable`; what came before is not whole then."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a window has of one batch."""

    rows: WindowRows
    labels: Labels | None
    sender: Sender

    def unflagged(self) -> WindowRows:
        return self.rows if self.labels is None else self.rows.only(self.labels == OK)


class ExportRows:
    """Reads only, and nothing that an evaluator has a place in."""

    def __init__(
        self,
        models: RegisteredModels,
        registrations: Registrations,
        verdicts: VerdictLog,
        judged: JudgedBatches,
        fitted: FittedModels,
        horizon: int,
    ) -> None:
        """`horizon`: the evaluators' own, within which a repeated batch counts once."""
        self._models = models
        self._registrations = registrations
        self._verdicts = verdicts
        self._judged = judged
        self._fitted = fitted
        self._horizon = horizon

    async def __call__(self, model: ModelName, span: Span) -> Export:
        """Raises `UnknownModel`, `UnknownVerdict`, `RowsGone`, `RowsNeverKept`, `InvalidSpan`, `StoreUnavailable`."""
        await self._models.current(model)
        newest = await self._verdicts.newest(model)
        last = span.last
        if last is None:
            last = max(span.first, newest.number if newest is not None else 0)
        if last < span.first or last - span.first >= MAXIMUM_VERDICTS:
            message = f"must be from_verdict or later, by less than {MAXIMUM_VERDICTS}"
            raise InvalidSpan(Fault("to_verdict", message))
        verdicts = await self._found(model, span.first, last, newest)
        registrations = await self._made_under(verdicts)
        features = _common_features(verdicts, registrations)
        gone_until = await self._judged.dropped_until(model)
        if not _is_whole(verdicts[0], gone_until):
            raise await self._gone(verdicts[0], newest, gone_until)
        categories = _categories(registrations.values())
        pieces = self._pieces(verdicts, registrations, flagged=span.flagged)
        return Export(model, features, categories, tuple(verdicts), span.flagged, pieces)

    async def _found(self, model: ModelName, first: int, last: int, newest: Verdict | None) -> Sequence[Verdict]:
        if newest is None or last > newest.number:
            has = "has none yet" if newest is None else f"has them up to {newest.number}"
            raise UnknownVerdict(f"there is no verdict {last} of model {model}: it {has}")
        found = [
            verdict
            for verdict in await self._verdicts.page(model, first - 1, last - first + 1)
            if verdict.number <= last
        ]
        if len(found) != last - first + 1:
            (oldest,) = await self._verdicts.page(model, 0, 1)
            raise UnknownVerdict(
                f"verdict {first} of model {model} is not kept any more: the oldest is {oldest.number}"
            )
        return found

    async def _made_under(self, verdicts: Sequence[Verdict]) -> Mapping[int, Registration]:
        """By their numbers."""
        found: dict[int, Registration] = {}
        for verdict in verdicts:
            revision = verdict.registration_revision
            if revision in found:
                continue
            registration = await self._registrations.revision(verdict.model, revision)
            if registration is None:
                message = (
                    f"registration {revision}, which verdict {verdict.number} was made under, is not kept any more"
                )
                raise RowsGone(f"{message}: what its columns were cannot be told")
            if (registration.reference_digest, registration.plan.digest) != (
                verdict.reference_digest,
                verdict.plan_digest,
            ):
                raise CorruptedState(f"verdict {verdict.number} was not made under registration {revision}")
            if registration.plan.window.keep != "rows":
                message = f"the plan that verdict {verdict.number} was made under keeps summaries in place of rows"
                raise RowsNeverKept(f"{message} (window.keep): there are no rows to give back")
            found[revision] = registration
        return found

    async def _gone(self, asked: Verdict, newest: Verdict | None, gone_until: BatchPosition) -> RowsGone:
        """Windows begin later and later in the log, so the first whole one is found by halving."""
        assert newest is not None  # noqa: S101 - it has a verdict
        low, high = asked.number, newest.number + 1
        while high - low > 1:
            middle = (low + high) // 2
            found = await self._verdicts.page(asked.model, middle - 1, 1)
            if found and _is_whole(found[0], gone_until):
                high = middle
            else:
                low = middle
        oldest = high if high <= newest.number else None
        what = f"rows of verdict {asked.number} of model {asked.model} are not kept any more"
        rest = (
            f"the oldest verdict whose rows are all there is {oldest}" if oldest else "no verdict's rows are all there"
        )
        return RowsGone(f"{what}; {rest}", oldest)

    async def _pieces(
        self, verdicts: Sequence[Verdict], registrations: Mapping[int, Registration], *, flagged: bool
    ) -> AsyncIterator[ExportedRows]:
        orders = {each.revision: ColumnOrder(self._registrations, each) for each in registrations.values()}
        labels = {
            each.revision: LabelAgain(each, orders[each.revision], self._fitted, self._judged)
            for each in registrations.values()
            if _is_labelled(each, flagged=flagged)
        }
        for verdict in verdicts:
            revision = verdict.registration_revision
            found = partial(self._rows_of, verdict, registrations[revision], orders[revision], labels.get(revision))
            if flagged:
                async for each in found():
                    yield _labelled(verdict.number, each)
                continue
            clients = await _client_rows(registrations[revision], found)
            async for each in found():
                rows = each.unflagged() if clients is None else clients.taken(each.sender, each.unflagged())
                if len(rows.rows):
                    yield ExportedRows(verdict.number, rows)

    async def _rows_of(
        self, verdict: Verdict, registration: Registration, order: ColumnOrder, labels: LabelAgain | None
    ) -> AsyncIterator[_Found]:
        extent, model = Extent.of(verdict), verdict.model
        assert extent is not None  # noqa: S101 - refused before
        seen = await self._judged.identifiers_until(model, extent.start.position, self._horizon)
        recent = RecentIdentifiers(self._horizon, seen)
        window = excerpt(registration.plan.window, len(registration.features), extent, recent)
        if labels is not None:
            await labels.begin(extent.start.position)
        after, held = extent.start.position, list[_Found]()
        while not window.over and is_after(extent.end.read, after):
            batches = await self._judged.read_again(model, after, extent.end.read, READ_BATCHES)
            if not batches:
                break
            after = batches[-1].position
            for piece in held:
                yield piece
            arranged = [await order.arranged(each) for each in batches]
            known = [None] * len(arranged) if labels is None else await labels.of(arranged)
            held = [
                _Found(rows, None if own is None else own.labels[rows.places], each.batch.sender)
                for each, own in zip(arranged, known, strict=True)
                if (rows := window.take(each)) is not None
            ]
        # A repeated batch would stand in for one that was dropped before it was read: so both are asked.
        if not window.whole or not _is_whole(verdict, await self._judged.dropped_until(model)):
            raise RowsGone(
                f"the log does not give the rows of verdict {verdict.number} of model {model} as they were judged: "
                "some were dropped meanwhile, or repeated batches are told apart otherwise than then"
            )
        for piece in held:  # the last ones only when it is certain that none is missing
            yield piece


def _is_labelled(registration: Registration, *, flagged: bool) -> bool:
    """Whether labels are needed: to leave rows out, or to be shown."""
    plan = registration.plan.anomalies
    return plan is not None and (plan.quarantine or flagged)


def _labelled(verdict: int, found: _Found) -> ExportedRows:
    labels = found.labels
    if labels is None:  # the plan has none
        labels = np.full(len(found.rows.rows), OK, dtype=np.int8)
    return ExportedRows(verdict, found.rows, labels)


async def _client_rows(registration: Registration, found: Callable[[], AsyncIterator[_Found]]) -> ClientRows | None:
    """Of a window that is read once more for it; None where clients may contribute what they like."""
    plan = registration.plan.anomalies
    if plan is None or plan.largest_client_share is None:
        return None
    clients = ClientRows(registration.model)
    async for each in found():
        clients.add(each.sender, each.unflagged())
    clients.limit(plan.largest_client_share)
    return clients


def _common_features(verdicts: Sequence[Verdict], registrations: Mapping[int, Registration]) -> tuple[str, ...]:
    first = registrations[verdicts[0].registration_revision]
    features = first.features
    for verdict in verdicts:
        under = registrations[verdict.registration_revision]
        if (under.features, under.schema.categorical) != (features, first.schema.categorical):
            message = f"verdict {verdict.number} was made under other features: ask for those from it on by themselves"
            raise InvalidSpan(Fault("to_verdict", message))
    return features


def _categories(registrations: Iterable[Registration]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for registration in registrations:
        for column in registration.schema.kept:
            if column.name in registration.schema.categorical:
                found.setdefault(column.name, set()).update(column.categories)
    return {name: tuple(sorted(categories)) for name, categories in found.items()}


def _is_whole(verdict: Verdict, gone_until: BatchPosition) -> bool:
    return verdict.start is not None and not is_after(gone_until, verdict.start.position)
