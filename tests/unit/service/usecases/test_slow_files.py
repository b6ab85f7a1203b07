"""Files that take long, or for ever, hold up neither the event loop nor what has nothing to do with them."""

import threading

import anyio
import pytest

from service.domain.errors import VettingUnavailable, VettingUnderWay
from service.domain.retraining.gate import Evidence, Refusal
from service.domain.retraining.vetting_statement import SignedDataset
from service.usecases.vet_run import CALLERS_WAITING, MAXIMUM_WAITING, RunSource, VetRun
from tests.unit.service.adapters.trigger.requests import retrain_request

pytestmark = pytest.mark.anyio


class Slow:
    """Files on a file system that does not answer."""

    def __init__(self, answers: threading.Event) -> None:
        self._answers = answers

    def template_digest(self) -> str | None:
        return None

    def dataset(self) -> SignedDataset | None:
        self._answers.wait(60)
        return None

    def vet(self, dataset: SignedDataset, /) -> str | Refusal:
        raise AssertionError(dataset)

    def base_model(self) -> str | None:
        return None


async def test_a_file_system_that_hangs_neither_holds_the_loop_up_nor_is_waited_for_for_ever() -> None:
    answers = threading.Event()
    source = RunSource(Slow(answers), "", {}, None, ())
    vet = VetRun(lambda _: source, None, enforced=False, longest_seconds=0.05)
    with anyio.fail_after(30):
        for _ in range(3):  # the thread of the first one still hangs
            with pytest.raises(VettingUnavailable, match="is a volume away"):
                await vet.vet(retrain_request(), None)
        answers.set()
        evidence = await VetRun(lambda _: source, None, enforced=False).vet(retrain_request(), None)
    assert isinstance(evidence, Evidence)


async def test_only_so_many_wait_for_one_another() -> None:
    answers = threading.Event()
    source = RunSource(Slow(answers), "", {}, None, ())
    vet = VetRun(lambda _: source, None, enforced=False)
    done: list[Evidence | Refusal] = []

    async def look() -> None:
        done.append(await vet.vet(retrain_request(), None))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for _ in range(1 + MAXIMUM_WAITING):
                tasks.start_soon(look)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(VettingUnderWay, match="for several others"):
                await vet.vet(retrain_request(), None)
            free = threading.Event()
            free.set()
            other = RunSource(Slow(free), "", {}, None, ())
            assert isinstance(
                await VetRun(lambda _: other, None, enforced=False).vet(retrain_request(), None), Evidence
            )
            answers.set()
    assert len(done) == 1 + MAXIMUM_WAITING


async def test_however_many_callers_ask_what_it_would_say_the_gate_has_a_place() -> None:
    answers = threading.Event()
    source = RunSource(Slow(answers), "", {}, None, ())
    for_callers = VetRun(lambda _: source, None, enforced=False, most_waiting=CALLERS_WAITING)
    gate = VetRun(lambda _: source, None, enforced=False)
    done: list[Evidence | Refusal] = []
    refused: list[VettingUnavailable] = []

    async def ask(vet: VetRun) -> None:
        try:
            done.append(await vet.vet(retrain_request(), None))
        except VettingUnavailable as error:
            refused.append(error)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for vet in [for_callers] * 10 + [gate]:
                tasks.start_soon(ask, vet)
                await anyio.wait_all_tasks_blocked()
            answers.set()
    assert (len(done), len(refused)) == (1 + CALLERS_WAITING + 1, 10 - 1 - CALLERS_WAITING)
