"""Find what a run would be made from: everything that a template leads to, with the digests that it has now."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from service.domain.errors import InvalidConfiguration
from service.domain.retraining.pinned import MAXIMUM_PINS, ObjectName, Pin, digest_of, images, references

if TYPE_CHECKING:  # the other ports bring NumPy and SciPy, and a template may lead to nothing
    from service.ports import ClusterObjects


class PinRun:
    """For one template."""

    def __init__(self, objects: "ClusterObjects | None") -> None:
        """None: the template leads to nothing that is in a cluster."""
        self._objects = objects
        self._pins: dict[tuple[str, str, str], Pin] = {}

    async def __call__(self, template: Mapping[str, Any], also: Sequence[ObjectName]) -> list[Pin]:
        """Of the objects that the template refers to, of those that they do, and of `also`, in the order of finding.

        Raises `InvalidConfiguration` for what the gate would refuse, and `VettingUnavailable`.
        """
        waiting = [*_named("the template", template), *also]
        while waiting:
            named = waiting.pop(0)
            if named.without_version in self._pins:
                continue
            document = await self.read(named)
            self._pins[named.without_version] = Pin(named, digest_of(document))
            if len(self._pins) > MAXIMUM_PINS:
                raise InvalidConfiguration(f"it leads to more than {MAXIMUM_PINS} objects")
            waiting += _named(str(named), document)
        return list(self._pins.values())

    async def read(self, named: ObjectName) -> Mapping[str, Any]:
        """Raises `InvalidConfiguration` if there is none of that name."""
        document = None if self._objects is None else await self._objects.read(named)
        if document is None:
            raise InvalidConfiguration(f"there is no {named}")
        return document


def _named(what: str, document: Mapping[str, Any]) -> list[ObjectName]:
    """The objects that it refers to."""
    for image in images(document):
        if not image.is_by_digest:
            raise InvalidConfiguration(f"{what}: {image.place} is not a name with @sha256:..., and may become another")
    found = []
    for reference in references(document):
        if reference.named is None:
            raise InvalidConfiguration(f"{what}: {reference.place} names no object of this cluster: nothing can pin it")
        found.append(reference.named)
    return found
