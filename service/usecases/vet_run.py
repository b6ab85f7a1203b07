"""Whether what a run would be made from may be used: the checks of the gate that look at files and at the cluster.

They are made when a run is to be permitted, every time, over every byte: nothing that was found earlier is believed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
from anyio import CapacityLimiter, to_thread

from service.domain.errors import ArtifactUnreadable, VettingUnavailable, VettingUnderWay
from service.domain.models import ModelName, RetrainRequest
from service.domain.retraining.gate import Check, Evidence, Refusal
from service.domain.retraining.pinned import Pin, digest_of, images, references
from service.ports import ClusterObjects, RunFiles
from service.usecases.look_at_run_files import FilesFound, look_at_files

LONGEST_SECONDS = 3600.0
"""For reading a dataset and a base model; beyond it their volume is taken to be away."""
MAXIMUM_WAITING = 4
"""Behind whoever reads the same files."""
CALLERS_WAITING = 1
"""And that are callers, who ask what the gate would say: however many do, it has a place behind them."""


@dataclass(frozen=True, slots=True)
class RunSource:
    """What the runs of a model are made from."""

    files: RunFiles
    digest: str
    """That the template, or the part of the CronJob that is one, is pinned to."""
    template: Mapping[str, Any] | None = None
    """As it was read at start; None: it is in the CronJob."""
    cron_job: Pin | None = None
    pins: Sequence[Pin] = ()
    limiter: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    """A file system that hangs holds up its own runs only."""


class VetRun:
    """A `service.ports.Vetting`."""

    def __init__(
        self,
        source_of: Callable[[ModelName], RunSource | None],
        objects: ClusterObjects | None,
        *,
        enforced: bool,
        longest_seconds: float = LONGEST_SECONDS,
        most_waiting: int = MAXIMUM_WAITING,
    ) -> None:
        """`objects`: None where nothing that is pinned is in a cluster. `enforced`: False: datasets advise only.

        `most_waiting`: with so many others behind whoever reads the same files, nobody is taken.
        """
        self._source_of = source_of
        self._objects = objects
        self._enforced = enforced
        self._longest_seconds = longest_seconds
        self._most_waiting = most_waiting

    async def vet(self, request: RetrainRequest, used_version: int | None, /) -> Evidence | Refusal:
        source = self._source_of(request.model)
        if source is None:
            return _refusal("no_source", "the retrainings file has neither this model nor all others (*)")
        # Before anything is hashed: while the cluster is away, this is asked again and again.
        await self._documents(source)
        found = await self._look_at_files(source, used_version)
        if isinstance(found, Refusal):
            return found
        # Behind it: reading may have taken an hour, in which somebody else did not wait.
        documents = await self._documents(source)
        refusal = _template_refusal(source, found, documents)
        return _evidence(source, found, documents) if refusal is None else refusal

    async def _documents(self, source: RunSource) -> list[tuple[Pin, Mapping[str, Any] | None]]:
        """What is pinned in the cluster, as it is now."""
        pins = [*([] if source.cron_job is None else [source.cron_job]), *source.pins]
        if self._objects is None:
            return []
        return [(pin, await self._objects.read(pin.named)) for pin in pins]

    async def _look_at_files(self, source: RunSource, used_version: int | None) -> FilesFound | Refusal:
        if source.limiter.statistics().tasks_waiting >= self._most_waiting:
            raise VettingUnderWay("the files are being read for several others already")
        look = partial(look_at_files, source.files, used_version, enforced=self._enforced)
        try:
            with anyio.fail_after(self._longest_seconds):
                return await to_thread.run_sync(look, limiter=source.limiter, abandon_on_cancel=True)
        except ArtifactUnreadable as error:
            raise VettingUnavailable(str(error)) from error
        except TimeoutError as error:
            raise VettingUnavailable(
                f"reading took more than {self._longest_seconds:g} s: is a volume away?"
            ) from error


def _template_refusal(
    source: RunSource, found: FilesFound, documents: Sequence[tuple[Pin, Mapping[str, Any] | None]]
) -> Refusal | None:
    if found.template_digest not in {None, source.digest}:
        return _refusal("template_changed", f"the template is {found.template_digest}, and {source.digest} is pinned")
    for pin, document in documents:
        if document is None:
            return _refusal("object_not_found", f"there is no {pin.named}, which is pinned")
        if (digest := digest_of(document)) != pin.digest:
            return _refusal("object_changed", f"{pin.named} is {digest}, and {pin.digest} is pinned")
    pinned = {pin.named.without_version for pin in source.pins}
    for what, document in _named(source, documents):
        for reference in references(document):
            if reference.named is None or reference.named.without_version not in pinned:
                return _refusal("reference_not_pinned", f"{what}: {reference.place} names what is not among the pins")
        for image in images(document):
            if not image.is_by_digest:
                return _refusal("image_not_by_digest", f"{what}: {image.place} is not a name with @sha256:...")
    return None


def _evidence(
    source: RunSource, found: FilesFound, documents: Sequence[tuple[Pin, Mapping[str, Any] | None]]
) -> Evidence:
    names = {image.name for _, document in _named(source, documents) for image in images(document) if image.name}
    dataset = found.dataset
    return Evidence(
        template_digest=source.digest,
        images=tuple(sorted(names)),
        dataset_digest=None if dataset is None else dataset.digest,
        dataset_version=None if dataset is None else dataset.version,
        approver=found.approver,
        base_model_digest=found.base_model_digest,
        advisories=found.advisories,
    )


def _named(
    source: RunSource, documents: Sequence[tuple[Pin, Mapping[str, Any] | None]]
) -> list[tuple[str, Mapping[str, Any]]]:
    """Every document that says what runs, under what it is called."""
    template = [] if source.template is None else [("the template", source.template)]
    return [*template, *((str(pin.named), document) for pin, document in documents if document is not None)]


def _refusal(reason: str, detail: str) -> Refusal:
    return Refusal(Check.TEMPLATE, reason, detail)
