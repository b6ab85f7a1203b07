"""What the kinds of objects that start a run differ in, as data: a further kind is a further entry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from service.domain.retraining.run import Progress

Condition = tuple[str, str]
"""Type and status of an entry of `status.conditions`."""


@dataclass(frozen=True, slots=True)
class Suspension:
    """How an object is made to wait, and let go on."""

    member: str
    """Of `spec`."""
    waits: object
    """Its value while the object waits."""
    goes_on: object
    """Its value from then on; None: it is taken away."""


@dataclass(frozen=True, slots=True)
class RunKind:
    """One kind."""

    parameters: tuple[str, ...] | None = None
    """Where it takes a list of names with values. None: its Pod template's containers are told by environment."""
    suspension: Suspension | None = None
    """None: it cannot be made to wait."""
    conditions: Mapping[Condition, Progress] = field(default_factory=dict)
    """Those that say how it has ended ..."""
    phases: Mapping[str, Progress] = field(default_factory=dict)
    """... or the values of `status.phase` that do."""

    def waits(self, document: Mapping[str, Any]) -> bool:
        """Whether an object of this kind does."""
        spec = document.get("spec")
        if self.suspension is None or not isinstance(spec, Mapping):
            return False
        return spec.get(self.suspension.member) == self.suspension.waits


_COMPLETION = {("Complete", "True"): Progress.SUCCEEDED, ("Failed", "True"): Progress.FAILED}
_SUCCESS = {("Succeeded", "True"): Progress.SUCCEEDED, ("Succeeded", "False"): Progress.FAILED}
_PHASES = {"Succeeded": Progress.SUCCEEDED, "Failed": Progress.FAILED, "Error": Progress.FAILED}

KINDS: Mapping[tuple[str, str], RunKind] = MappingProxyType(
    {
        ("batch/v1", "Job"): RunKind(suspension=Suspension("suspend", True, False), conditions=_COMPLETION),
        ("argoproj.io/v1alpha1", "Workflow"): RunKind(
            parameters=("spec", "arguments", "parameters"),
            suspension=Suspension("suspend", True, None),
            phases=_PHASES,
        ),
        ("tekton.dev/v1", "PipelineRun"): RunKind(
            parameters=("spec", "params"),
            suspension=Suspension("status", "PipelineRunPending", None),
            conditions=_SUCCESS,
        ),
    }
)
_OTHER = RunKind(conditions={**_COMPLETION, **_SUCCESS}, phases=_PHASES)
"""Of others it is taken that their status says what is usual."""


@dataclass(frozen=True, slots=True)
class Objects:
    """All objects of one kind in one namespace."""

    api_version: str
    kind: str
    namespace: str

    @property
    def run_kind(self) -> RunKind:
        """What is known of their kind."""
        return run_kind(self.api_version, self.kind)


def run_kind(api_version: str, kind: str) -> RunKind:
    """What is known of a kind."""
    return KINDS.get((api_version, kind), _OTHER)
