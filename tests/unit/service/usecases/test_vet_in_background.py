"""Nobody is held up by a dataset that takes long: the answer is fetched when it is there, once."""

from dataclasses import dataclass, field

import anyio
import pytest

from service.domain.errors import VettingUnavailable, VettingUnderWay
from service.domain.models import RetrainRequest
from service.domain.retraining.gate import Check, Evidence, Refusal
from service.usecases.vet_in_background import MAXIMUM_LOOKS, VetInBackground
from tests.unit.service.adapters.trigger.requests import retrain_request

pytestmark = pytest.mark.anyio

REFUSAL = Refusal(Check.VETTING, "not_vetted", "")


@dataclass
class Reading:
    """A vetting that takes until the test says so."""

    read: anyio.Event = field(default_factory=anyio.Event)
    asked: list[tuple[str, int | None]] = field(default_factory=list)
    away: bool = False

    async def vet(self, request: RetrainRequest, used_version: int | None, /) -> Evidence | Refusal:
        self.asked.append((request.name, used_version))
        await self.read.wait()
        if self.away:
            raise VettingUnavailable("away")
        return REFUSAL


@dataclass
class Scene:
    reading: Reading = field(default_factory=Reading)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.vetting = VetInBackground(self.reading, lambda: self.now, 60.0, patience_seconds=0.01)

    async def ask(self, name: str = "run", used: int | None = 3) -> Evidence | Refusal:
        return await self.vetting.vet(retrain_request(name=name), used)

    async def ask_in_vain(self, name: str = "run", used: int | None = 3) -> None:
        with pytest.raises(VettingUnderWay):
            await self.ask(name, used)

    async def end(self) -> None:
        self.reading.read.set()
        await anyio.wait_all_tasks_blocked()


async def test_what_is_read_soon_is_answered_at_once() -> None:
    scene = Scene()
    scene.reading.read.set()
    assert await scene.ask() == REFUSAL


async def test_what_takes_long_is_read_once_and_answered_when_it_is_read() -> None:
    scene = Scene()
    for _ in range(3):
        await scene.ask_in_vain()
    await scene.end()
    assert await scene.ask() == REFUSAL
    assert scene.reading.asked == [("run", 3)]


async def test_what_takes_long_is_waited_for_once() -> None:
    scene = Scene()
    await scene.ask_in_vain()
    scene.vetting._patience_seconds = 3600.0
    with anyio.fail_after(60):
        await scene.ask_in_vain()


async def test_an_answer_is_given_once() -> None:
    scene = Scene()
    await scene.ask_in_vain()
    await scene.end()
    for _ in range(2):
        await scene.ask()
    assert len(scene.reading.asked) == 2


async def test_an_answer_is_of_one_request_and_of_one_dataset_before_it() -> None:
    scene = Scene()
    await scene.ask_in_vain()
    await scene.end()
    assert await scene.ask("other") == REFUSAL
    assert await scene.ask(used=4) == REFUSAL
    assert scene.reading.asked == [("run", 3), ("other", 3), ("run", 4)]


async def test_an_old_answer_is_none() -> None:
    scene = Scene()
    await scene.ask_in_vain()
    await scene.end()
    scene.now = 60.1
    await scene.ask()
    assert len(scene.reading.asked) == 2


async def test_what_could_not_be_looked_at_is_looked_at_again() -> None:
    scene = Scene(Reading(away=True))
    await scene.ask_in_vain()
    await scene.end()
    with pytest.raises(VettingUnavailable, match="away") as away:
        await scene.ask()
    assert not isinstance(away.value, VettingUnderWay)
    scene.reading.away = False
    assert await scene.ask() == REFUSAL


async def test_so_many_are_read_at_once_and_no_more() -> None:
    scene = Scene()
    scene.vetting = VetInBackground(scene.reading, lambda: 0.0, 60.0, patience_seconds=0.0)
    for number in range(MAXIMUM_LOOKS):
        await scene.ask_in_vain(str(number))
    with pytest.raises(VettingUnderWay, match="already"):
        await scene.ask("one more")
    scene.vetting.close()
    assert len(scene.reading.asked) == MAXIMUM_LOOKS
