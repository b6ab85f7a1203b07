"""Questions to somebody who may be slow: shared, bounded in number and in time."""

import asyncio

import pytest

from service.adapters.access.asking import Asking
from service.domain.errors import AccessUndecided

pytestmark = pytest.mark.anyio

LONG = 60.0


class Slow:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def __call__(self) -> str:
        self.asked += 1
        await self.may_answer.wait()
        return "answer"


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_same_question_is_asked_once() -> None:
    asking: Asking[str, str] = Asking(4, 4, LONG)
    slow = Slow()
    waiting = [asyncio.create_task(asking("token", slow)) for _ in range(100)]
    await turns()
    slow.may_answer.set()
    assert await asyncio.gather(*waiting) == ["answer"] * 100
    assert slow.asked == 1
    assert await asking("token", slow) == "answer"
    assert slow.asked == 2


async def test_more_than_may_wait_are_refused_at_once_and_those_before_are_answered() -> None:
    asking: Asking[int, str] = Asking(2, 3, LONG)
    slow = Slow()
    waiting = [asyncio.create_task(asking(number, slow)) for number in range(5)]
    await turns()
    assert slow.asked == 2
    with pytest.raises(AccessUndecided):
        await asking(5, slow)
    slow.may_answer.set()
    assert await asyncio.gather(*waiting) == ["answer"] * 5
    assert await asking(5, slow) == "answer"


async def test_nobody_waits_longer_than_the_time_for_asking_and_waiting() -> None:
    asking: Asking[int, str] = Asking(1, 10, 0.02)
    slow = Slow()
    given_up = await asyncio.gather(*(asking(number, slow) for number in range(5)), return_exceptions=True)
    assert [type(each) for each in given_up] == [AccessUndecided] * 5
    slow.may_answer.set()
    assert await asking(0, slow) == "answer"


async def test_who_asked_first_may_hang_up() -> None:
    asking: Asking[str, str] = Asking(1, 1, LONG)
    slow = Slow()
    first, second = (asyncio.create_task(asking("token", slow)) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    slow.may_answer.set()
    assert await second == "answer"
    assert first.cancelled()


async def test_an_error_is_everybodys_who_asked_and_not_remembered() -> None:
    asking: Asking[str, str] = Asking(1, 1, LONG)

    async def fails() -> str:
        raise AccessUndecided("away")

    failed = await asyncio.gather(*(asking("token", fails) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in failed] == [AccessUndecided] * 3
    slow = Slow()
    slow.may_answer.set()
    assert await asking("token", slow) == "answer"


async def test_an_error_that_nobody_waits_for_any_more_is_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    asking: Asking[str, str] = Asking(1, 1, 0.01)
    asked = asyncio.create_task(asking("token", Slow()))
    await turns()
    asked.cancel()
    await asyncio.sleep(0.05)
    assert not caplog.records


async def test_what_is_under_way_is_given_up_at_the_end() -> None:
    asking: Asking[str, str] = Asking(1, 1, LONG)
    asked = asyncio.create_task(asking("token", Slow()))
    await turns()
    asking.stop()
    with pytest.raises(asyncio.CancelledError):
        await asked
