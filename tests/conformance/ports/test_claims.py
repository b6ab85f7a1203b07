"""What claims promise: one owner at a time, for a while, and no harm from whatever else lies there."""

import asyncio
from collections import Counter

import pytest

from service.adapters.claims.redis_claims import AT_ONCE
from service.domain.errors import StoreUnavailable
from service.domain.models import ModelName
from tests.conformance.ports.conftest import Store
from tests.conformance.ports.documents import MODEL, OTHER_MODEL, batch, registration, verdict
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio

SOON = 0.2
"""Seconds, where a claim is to end by itself."""


async def test_of_twenty_evaluators_one_has_it_and_all_know_whose_it_is(store: Store) -> None:
    answers = await asyncio.gather(*(store.claims(f"evaluator {index}").claim([MODEL]) for index in range(20)))
    (owner,) = {answer[MODEL] for answer in answers}
    assert owner in {f"evaluator {index}" for index in range(20)}


async def test_claiming_again_keeps_it(store: Store) -> None:
    mine, others = store.claims("mine"), store.claims("others")
    assert await mine.claim([MODEL]) == {MODEL: "mine"}
    await store.redis.pexpire(store.keys.claim(MODEL, "evaluation"), 10_000)
    assert await mine.claim([MODEL]) == {MODEL: "mine"}
    assert await store.redis.pttl(store.keys.claim(MODEL, "evaluation")) > 10_000
    assert await others.claim([MODEL, OTHER_MODEL]) == {MODEL: "mine", OTHER_MODEL: "others"}


async def test_asking_for_anothers_does_not_prolong_it(store: Store) -> None:
    await store.claims("others").claim([MODEL])
    await store.redis.pexpire(store.keys.claim(MODEL, "evaluation"), 10_000)
    await store.claims("mine").claim([MODEL])
    assert await store.redis.pttl(store.keys.claim(MODEL, "evaluation")) <= 10_000


async def test_a_claim_that_is_not_renewed_ends_by_itself(store: Store) -> None:
    await store.claims("dead", SOON).claim([MODEL])

    async def taken() -> bool:
        return (await store.claims("mine").claim([MODEL]))[MODEL] == "mine"

    await eventually_async(taken, "the claim ends")


async def test_what_is_released_is_free_and_anothers_stays(store: Store) -> None:
    mine, others = store.claims("mine"), store.claims("others")
    await mine.claim([MODEL])
    await others.claim([OTHER_MODEL])
    await mine.release([MODEL, OTHER_MODEL])
    assert await others.claim([MODEL]) == {MODEL: "others"}
    assert await mine.claim([OTHER_MODEL]) == {OTHER_MODEL: "others"}


async def test_kinds_of_work_are_claimed_apart(store: Store) -> None:
    await store.claims("mine").claim([MODEL])
    assert await store.claims("others", work="delivery").claim([MODEL]) == {MODEL: "others"}


async def test_thousands_are_claimed_and_released(store: Store) -> None:
    models = [ModelName(f"model-{index}") for index in range(2 * AT_ONCE + 1)]
    mine, others = store.claims("mine"), store.claims("others")
    assert Counter((await mine.claim(models)).values()) == {"mine": len(models)}
    await mine.release(models)
    assert Counter((await others.claim(models)).values()) == {"others": len(models)}


async def test_a_model_whose_claim_nobody_could_ever_have_is_everybodys(store: Store) -> None:
    await store.redis.lpush(store.keys.claim(MODEL, "evaluation"), "junk")
    assert await store.claims("mine").claim([MODEL]) == {MODEL: "mine"}
    await store.claims("mine").release([MODEL])
    assert await store.claims("others").claim([MODEL]) == {MODEL: "others"}


async def test_those_who_said_so_lately_are_present(store: Store) -> None:
    mine, others = store.claims("mine"), store.claims("others")
    assert set(await mine.meet()) == {"mine"}
    assert set(await others.meet()) == {"mine", "others"}
    await others.release([], leaving=True)
    assert set(await mine.meet()) == {"mine"}


async def test_who_said_nothing_for_a_while_is_not_present(store: Store) -> None:
    await store.claims("dead", SOON).meet()

    async def alone() -> bool:
        return set(await store.claims("mine", SOON).meet()) == {"mine"}

    await eventually_async(alone, "the other one is not counted any more")


async def test_a_store_in_trouble_says_so(store: Store) -> None:
    await store.redis.set(store.keys.evaluators("evaluation"), "junk")
    with pytest.raises(StoreUnavailable):
        await store.claims("mine").meet()


async def test_a_sign_changes_when_something_is_added_or_done(store: Store) -> None:
    signs = store.signs()
    before = await signs.of([MODEL, OTHER_MODEL])
    assert before[0] == before[1]
    await store.observations().append(MODEL, batch())
    (after_rows, other) = await signs.of([MODEL, OTHER_MODEL])
    assert after_rows.added != before[0].added
    assert other == before[1]
    await store.registrations().register(registration(), None)
    (after_plan,) = await signs.of([MODEL])
    assert after_plan.added != after_rows.added
    await store.verdicts().commit(verdict())
    (after_verdict,) = await signs.of([MODEL])
    assert (after_verdict.added, after_verdict.done) == (after_plan.added, after_plan.done + 1)


async def test_signs_of_thousands_keep_their_order(store: Store) -> None:
    await store.observations().append(MODEL, batch())
    models = [ModelName(f"idle-{index}") for index in range(2 * AT_ONCE)]
    found = await store.signs().of([*models, MODEL])
    assert len(found) == len(models) + 1
    assert [sign.added[0] for sign in found] == [*[0] * len(models), 1]


async def test_what_is_no_stream_hides_no_other_sign(store: Store) -> None:
    await store.redis.set(store.keys.observations(OTHER_MODEL), "junk")
    await store.observations().append(MODEL, batch())
    damaged, sound = await store.signs().of([OTHER_MODEL, MODEL])
    assert damaged.added[0] == -1
    assert sound.added[0] == 1
