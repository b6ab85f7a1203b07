"""What a template leads to is followed to its end: all of it is pinned, or nothing runs."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from service.adapters.artifacts.run_files import FilesOfRuns
from service.domain.errors import InvalidConfiguration
from service.domain.retraining.gate import Check, Evidence, Refusal
from service.domain.retraining.pinned import MAXIMUM_PINS, ObjectName, Pin, digest_of
from service.usecases.pin_run import PinRun
from service.usecases.vet_run import RunSource, VetRun
from tests.unit.service.adapters.trigger.requests import retrain_request

pytestmark = pytest.mark.anyio

IMAGE = "registry.example/retrain@sha256:" + "0" * 64
ANOTHER = "registry.example/fetch@sha256:" + "1" * 64
RUN = {"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "spec": {"pipelineRef": {"name": "retrain"}}}
PIPELINE = {"kind": "Pipeline", "spec": {"tasks": [{"taskRef": {"name": "train"}}, {"taskRef": {"name": "fetch"}}]}}
TRAIN = {"kind": "Task", "spec": {"steps": [{"image": IMAGE}]}}
FETCH = {"kind": "Task", "spec": {"steps": [{"image": ANOTHER}]}}


class Objects:
    """A cluster of which only names and documents matter."""

    def __init__(self, **documents: Mapping[str, Any]) -> None:
        self.documents = dict(documents)

    async def read(self, named: ObjectName, /) -> Mapping[str, Any] | None:
        return self.documents.get(named.name)


def cluster() -> Objects:
    return Objects(**copy.deepcopy({"retrain": PIPELINE, "train": TRAIN, "fetch": FETCH}))


def files() -> FilesOfRuns:
    return FilesOfRuns(None, 0, None, None, None, lambda: datetime.now(UTC))


async def vetted(objects: Objects, pins: list[Pin], template: Mapping[str, Any] = RUN) -> Evidence | Refusal:
    source = RunSource(files(), "sha256:" + "a" * 64, template, None, pins)
    return await VetRun(lambda _: source, objects, enforced=False).vet(retrain_request(), None)


async def test_all_that_it_leads_to_is_found_and_passes_as_it_was_found() -> None:
    pins = await PinRun(cluster())(RUN, [])
    assert [str(pin.named) for pin in pins] == ["Pipeline retrain", "Task train", "Task fetch"]
    evidence = await vetted(cluster(), pins)
    assert isinstance(evidence, Evidence)
    assert list(evidence.images) == [ANOTHER, IMAGE]


@pytest.mark.parametrize("index", [0, 1, 2])
async def test_whatever_is_left_out_of_the_pins_is_refused(index: int) -> None:
    pins = await PinRun(cluster())(RUN, [])
    del pins[index]
    refusal = await vetted(cluster(), pins)
    assert isinstance(refusal, Refusal)
    assert (refusal.check, refusal.reason) == (Check.TEMPLATE, "reference_not_pinned")


@pytest.mark.parametrize("name", ["retrain", "train", "fetch"])
async def test_whatever_is_changed_or_gone_is_refused(name: str) -> None:
    pins, objects = await PinRun(cluster())(RUN, []), cluster()
    objects.documents[name] = {**objects.documents[name], "spec": {"steps": [{"image": IMAGE, "script": "evil"}]}}
    refusal = await vetted(objects, pins)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "object_changed"
    del objects.documents[name]
    refusal = await vetted(objects, pins)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "object_not_found"


@dataclass(frozen=True)
class Files(FilesOfRuns):
    """While they are read, somebody does something."""

    meanwhile: Callable[[], None] = lambda: None

    def base_model(self) -> str | None:
        self.meanwhile()
        return None


async def test_what_is_changed_while_files_are_read_is_refused() -> None:
    pins, objects = await PinRun(cluster())(RUN, []), cluster()

    def edit() -> None:
        objects.documents["train"] = {"kind": "Task", "spec": {"steps": [{"image": IMAGE, "script": "evil"}]}}

    read = Files(None, 0, None, None, None, lambda: datetime.now(UTC), edit)
    source = RunSource(read, "sha256:" + "a" * 64, RUN, None, pins)
    refusal = await VetRun(lambda _: source, objects, enforced=False).vet(retrain_request(), None)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "object_changed"


async def test_an_image_of_a_pinned_object_must_be_by_digest_too() -> None:
    objects = cluster()
    objects.documents["fetch"] = {"kind": "Task", "spec": {"steps": [{"image": "$(params.image)"}]}}
    with pytest.raises(InvalidConfiguration, match=r"Task fetch: spec\.steps\[0\]\.image"):
        await PinRun(objects)(RUN, [])
    pins = await PinRun(cluster())(RUN, [])
    pins[2] = Pin(pins[2].named, digest_of(objects.documents["fetch"]))
    refusal = await vetted(objects, pins)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "image_not_by_digest"


async def test_what_is_outside_the_cluster_can_neither_be_pinned_nor_run() -> None:
    remote = {**RUN, "spec": {"pipelineRef": {"resolver": "git", "params": []}}}
    with pytest.raises(InvalidConfiguration, match=r"spec\.pipelineRef names no object of this cluster"):
        await PinRun(cluster())(remote, [])
    refusal = await vetted(cluster(), [], remote)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "reference_not_pinned"


async def test_objects_that_refer_to_one_another_end_and_endless_ones_are_refused() -> None:
    def leads_to(name: str) -> dict[str, Any]:
        return {"kind": "Pipeline", "spec": {"tasks": [{"taskSpec": {"pipelineRef": {"name": name}}}]}}

    circle = Objects(retrain=leads_to("other"), other=leads_to("retrain"))
    assert len(await PinRun(circle)(RUN, [])) == 2
    names = ["retrain", *(f"p{number}" for number in range(MAXIMUM_PINS + 1))]
    chain = Objects(**{name: leads_to(after) for name, after in pairwise(names)})
    with pytest.raises(InvalidConfiguration, match="more than"):
        await PinRun(chain)(RUN, [])
