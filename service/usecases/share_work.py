"""Which models this process looks at now: those that have work, are not another's, and are within its fair share.

One for each kind of work. It spares double work and idle reading; that each window is judged once, whatever is decided
here, is the verdict log's business. So whenever claims are in trouble, or one is held for too long without anything
coming of it, the model is looked at all the same.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import anyio

from service.domain.errors import StoreUnavailable
from service.domain.models import ModelName
from service.domain.sharing import Outlook, Sign, fair_share, preferred, surplus
from service.ports import Claims, Signs
from service.telemetry.metrics import Metrics

PATIENCE = 6
"""Times a claim's life that somebody else's is respected while nothing comes of it."""
GLANCES = 6
"""Times a claim's life that a model is left alone because its streams are as long as they were."""
BLIND_ROUNDS = 3
"""Rounds without a glance after which all models are looked at."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Evaluator:
    """This process among those that share the work."""

    name: str
    """Nobody else's at the same time; the same again after a restart, so that its claims are its own."""
    claim_seconds: float


@dataclass(slots=True)
class _Due:
    since: float
    done: int
    """What the sign said was done then."""
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class _Glance:
    sign: Sign
    expires: float


class SharedWork:
    """Not to be used by two loops; a model that was taken is to be given back by `looked` before it is taken again."""

    def __init__(
        self,
        work: str,
        claims: Claims,
        signs: Signs,
        evaluator: Evaluator,
        monotonic: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self.work = work
        self._claims = claims
        self._signs = signs
        self._name = evaluator.name
        self._seconds = evaluator.claim_seconds
        self._monotonic = monotonic
        self._metrics = metrics
        self._present: frozenset[str] = frozenset()
        self._due: dict[ModelName, _Due] = {}
        self._glances: dict[ModelName, _Glance] = {}
        self._held: dict[ModelName, float] = {}
        """Claimed by us, and when they were looked at last."""
        self._under_way: set[ModelName] = set()
        self._others: dict[ModelName, str] = {}
        """Claimed by others when last asked, in this round."""
        self._owners: dict[ModelName, str] = {}
        """Who had a model that was not ours, when last seen."""
        self._taken_over: dict[ModelName, str] = {}
        """From whom; counted when it turns out that they are gone."""
        self._blind = 0
        """Rounds in a row without a glance."""
        self._turn = anyio.Lock()
        """Rounds and renewals change the same claims, each in several steps."""

    def came(self, model: ModelName) -> bool:
        """Something was added by this process; whether that is a reason to look now."""
        if model not in self._due:
            glance = self._glances.get(model)
            self._due[model] = _Due(self._monotonic(), glance.sign.done if glance is not None else -1)
        return model not in self._others

    async def survey(self, models: Sequence[ModelName]) -> Sequence[ModelName]:
        """Begin a round: see which models have work, and give away what is beyond our share.

        Returns those for which others have done something.
        """
        self._others.clear()
        self._forget_all_but(models)
        signs = await self._glances_at(models)
        now = self._monotonic()
        progressed = [model for model, sign in zip(models, signs, strict=False) if self._glance(model, sign, now)]
        async with self._turn:
            await self._give_up(surplus(self._held, self._share(), self._name))
        return progressed

    async def take(self) -> Sequence[ModelName]:
        """Models to look at now, claimed where that was possible."""
        now = self._monotonic()
        ready = [model for model, due in self._due.items() if due.not_before <= now]
        ours = [model for model in ready if model in self._held]
        wanted = [model for model in ready if model not in self._held]
        if wanted:
            async with self._turn:
                ours += await self._claim(wanted, now)
        for model in ours:
            self._due.pop(model)  # before the look: what is added meanwhile makes it due again
            self._under_way.add(model)
        return preferred(ours, self._name)

    def looked(self, model: ModelName, outlook: Outlook, retry_seconds: float) -> None:
        """What came of looking at one that was taken."""
        now = self._monotonic()
        self._under_way.discard(model)
        if model in self._held:
            self._held[model] = now
        if outlook is Outlook.NOTHING:
            return
        self.came(model)
        if outlook is not Outlook.MORE:
            self._due[model].not_before = now + retry_seconds
        if outlook is Outlook.FAILED and model in self._held:
            self._held[model] = now - self._seconds  # let it go when claims are renewed

    async def renew(self) -> None:
        """Keep what is in use, let go of the rest; call it several times in a claim's life."""
        try:
            async with self._turn:
                self._present = frozenset(await self._claims.meet())
                await self._keep()
        except StoreUnavailable as error:
            self._trouble(error)
            return
        self._count_takeovers()
        self._metrics.evaluators.labels(self.work).set(len(self._present))
        self._metrics.claimed_models.labels(self.work).set(len(self._held))

    async def leave(self) -> None:
        """Let others have everything at once."""
        try:
            await self._claims.release(list(self._held), leaving=True)
        except StoreUnavailable as error:
            self._trouble(error)  # they end by themselves
        self._held.clear()

    async def _glances_at(self, models: Sequence[ModelName]) -> Sequence[Sign | None]:
        try:
            signs = await self._signs.of(models)
        except StoreUnavailable as error:
            self._trouble(error)
            self._blind += 1
            # A store that is away for a moment is no reason to look at thousands of models; if only glances are
            # impossible, look at all of them, and let each say what is wrong.
            return [None] * len(models) if self._blind >= BLIND_ROUNDS else []
        self._blind = 0
        return signs

    async def _keep(self) -> None:
        now = self._monotonic()
        used = {model for model, when in self._held.items() if now - when < self._seconds} | self._under_way
        await self._give_up([model for model in self._held if model not in used])
        kept = list(self._held)
        owners = await self._claims.claim(kept) if kept else {}
        for model in kept:
            if owners.get(model) != self._name:
                del self._held[model]

    def _glance(self, model: ModelName, sign: Sign | None, now: float) -> bool:
        """Whether others have done something."""
        before = self._glances.get(model)
        if sign is None or before is None or sign.added != before.sign.added or now >= before.expires:
            self.came(model)
        if sign is None:
            return False
        due = self._due.get(model)
        if due is not None and due.done != sign.done:
            due.done, due.since = sign.done, now  # somebody is at it
        if before is None or before.sign != sign or now >= before.expires:
            self._glances[model] = _Glance(sign, now + GLANCES * self._seconds)
        others_did = model not in self._held and sign.done != (before.sign.done if before else 0)
        return others_did and sign.done >= 0

    def _share(self) -> int:
        known = len(self._held.keys() | self._due.keys())
        return fair_share(known, len(self._present))

    async def _claim(self, wanted: Sequence[ModelName], now: float) -> list[ModelName]:
        """Those that we may look at."""
        impatient = [model for model in wanted if now - self._due[model].since > PATIENCE * self._seconds]
        wanted = [model for model in wanted if model not in self._others]
        room = self._share() - len(self._held)
        # Beyond our share only what nobody else has come for.
        waiting = [model for model in wanted if now - self._due[model].since > self._seconds]
        asked = list(dict.fromkeys([*preferred(wanted, self._name)[: max(0, room)], *waiting]))
        if not asked:
            return impatient
        try:
            owners = await self._claims.claim(asked)
        except StoreUnavailable as error:
            self._trouble(error)
            return list({*asked, *impatient})
        ours = [model for model in asked if owners.get(model) == self._name]
        for model in ours:
            self._held[model] = now
            if model in self._owners:
                self._taken_over[model] = self._owners.pop(model)
        others = {model: owner for model, owner in owners.items() if owner != self._name}
        self._others |= others
        self._owners |= others
        return list({*ours, *(model for model in impatient if model in self._due)})

    async def _give_up(self, models: Collection[ModelName]) -> None:
        given = [model for model in models if model not in self._under_way]
        if not given:
            return
        try:
            await self._claims.release(given)
        except StoreUnavailable as error:
            self._trouble(error)  # they end by themselves
        for model in given:
            self._held.pop(model, None)

    def _forget_all_but(self, models: Sequence[ModelName]) -> None:
        """Of models that were deleted, nothing stays here for ever."""
        if len(self._glances) > len(models):
            known = set(models)
            for model in [model for model in self._glances if model not in known]:
                del self._glances[model]
                self._due.pop(model, None)

    def _count_takeovers(self) -> None:
        for owner in self._taken_over.values():
            if owner not in self._present:
                self._metrics.takeovers.labels(self.work).inc()
        self._taken_over = {model: owner for model, owner in self._taken_over.items() if owner in self._present}

    def _trouble(self, error: StoreUnavailable) -> None:
        self._metrics.claim_failures.labels(self.work).inc()
        _log.debug("claims of %s are in trouble, work goes on without: %s", self.work, error)
