"""The file that says what runs are made from (DRIFT_TRIGGER__RETRAININGS): YAML, or JSON, which is YAML.

retrainings:
  fraud:                             # a model's name, or "*" for all that are not named
    template: {file: job.yaml, digest: "sha256:..."}
    dataset:
      path: /datasets/fraud
      trust: dataset-keys.yaml
      vetting: {approvers: approvers.yaml, checks: [labels, privacy]}
    base_model: {path: /models/fraud, trust: model-keys.yaml}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from os.path import realpath
from pathlib import Path
from typing import Annotated

import msgspec

from service.adapters.artifacts.elliptic_keys import read_bounded
from service.adapters.artifacts.signed_files import SignedFiles
from service.adapters.artifacts.strict_yaml import parsed
from service.adapters.artifacts.trust_file import read_trust
from service.domain.errors import InvalidConfiguration
from service.domain.integrity.statement import Kind
from service.domain.integrity.trust import Expectation
from service.domain.retraining.pinned import CRON_JOB, MAXIMUM_PINS, ObjectName, Pin
from service.domain.retraining.vetting_statement import CHECK_NAME, MAXIMUM_CHECKS

MAXIMUM_RETRAININGS = 1_000
_MAXIMUM_BYTES = 2**20
_Digest = Annotated[str, msgspec.Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z")]
_Name = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")]
"""Of an object in the cluster."""


@dataclass(frozen=True, slots=True)
class PinnedTemplate:
    """A file, and the SHA-256 that it must have: `sha256:` and hexadecimal digits."""

    file: Path
    digest: str


@dataclass(frozen=True, slots=True)
class NamedVetting:
    """Where the approver's statement is, who may approve, and what must have been checked."""

    statement: Path
    approvers: Path
    checks: frozenset[str]


@dataclass(frozen=True, slots=True)
class NamedDataset:
    """What is to be trained on."""

    files: SignedFiles
    vetting: NamedVetting | None


@dataclass(frozen=True, slots=True)
class Retraining:
    """What runs are made from; one of `template` and `cron_job` is there."""

    template: PinnedTemplate | None
    cron_job: Pin | None
    pins: tuple[Pin, ...]
    """Of objects in the cluster that the template refers to, and of those that they do."""
    dataset: NamedDataset | None
    base_model: SignedFiles | None
    """What training starts from; None: from nothing."""


class _Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    file: str
    digest: _Digest


class _CronJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: _Name
    digest: _Digest


class _Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    api_version: Annotated[str, msgspec.Meta(pattern=r"\A([a-z0-9][a-z0-9.-]{0,252}/)?v[a-z0-9]{1,30}\Z")]
    kind: Annotated[str, msgspec.Meta(pattern=r"\A[A-Z][A-Za-z0-9]{0,62}\Z")]
    name: _Name
    digest: _Digest


class _Vetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    approvers: str
    checks: Annotated[
        list[Annotated[str, msgspec.Meta(pattern=CHECK_NAME)]], msgspec.Meta(min_length=1, max_length=MAXIMUM_CHECKS)
    ]
    statement: str | None = None


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    trust: str
    signature: str | None = None


class _Model(_Signed, frozen=True, forbid_unknown_fields=True):
    payload_digest: _Digest | None = None
    minimum_version: Annotated[int, msgspec.Meta(ge=0)] | None = None


class _Dataset(_Signed, frozen=True, forbid_unknown_fields=True):
    vetting: _Vetting | None = None


class _Retraining(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    template: _Template | None = None
    cron_job: _CronJob | None = None
    pins: Annotated[list[_Pin], msgspec.Meta(max_length=MAXIMUM_PINS)] = []
    dataset: _Dataset | None = None
    base_model: _Model | None = None


_ModelName = Annotated[str, msgspec.Meta(pattern=r"\A(\*|[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)\Z")]


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    retrainings: Annotated[dict[_ModelName, _Retraining], msgspec.Meta(min_length=1, max_length=MAXIMUM_RETRAININGS)]


def read_retrainings(file: Path) -> Mapping[str, Retraining]:
    """By model (`of_model`). Raises `InvalidConfiguration` that names the file and the place in it.

    Relative paths begin where the file is. Whose keys are trusted is read here too, so that what is wrong with it is
    said at start; datasets are not.
    """
    document = parsed(read_bounded(file, _MAXIMUM_BYTES), file)
    try:
        said = msgspec.convert(document, _Document).retrainings
    except msgspec.ValidationError as error:
        raise InvalidConfiguration(f"{file}: {error}") from None
    return {model: _read(file, f"{file}: retrainings[{model}]", each) for model, each in said.items()}


def _read(file: Path, place: str, said: _Retraining) -> Retraining:
    if (said.template is None) == (said.cron_job is None):
        raise InvalidConfiguration(f"{place} must have one of template and cron_job: what a run is made from")
    template = None if said.template is None else PinnedTemplate(file.parent / said.template.file, said.template.digest)
    cron_job = said.cron_job
    return Retraining(
        template,
        None if cron_job is None else Pin(ObjectName("batch/v1", CRON_JOB, cron_job.name), cron_job.digest),
        tuple(Pin(ObjectName(pin.api_version, pin.kind, pin.name), pin.digest) for pin in said.pins),
        None if said.dataset is None else _dataset(file, f"{place}.dataset", said.dataset),
        None if said.base_model is None else _base_model(file, f"{place}.base_model", said.base_model),
    )


def _dataset(file: Path, place: str, said: _Dataset) -> NamedDataset:
    files = _signed(file, place, said, Expectation(Kind.DATASET))
    vetting = None if said.vetting is None else _vetting(file, f"{place}.vetting", said.vetting, files.path)
    return NamedDataset(files, vetting)


def _base_model(file: Path, place: str, said: _Model) -> SignedFiles:
    return _signed(file, place, said, Expectation(Kind.MODEL, said.payload_digest, said.minimum_version))


def _vetting(file: Path, place: str, said: _Vetting, dataset: Path) -> NamedVetting:
    beside = dataset.parent / f"{dataset.name}.vetting"
    statement = beside if said.statement is None else file.parent / said.statement
    if Path(realpath(statement)).is_relative_to(realpath(dataset)):
        raise InvalidConfiguration(f"{place}: statement is in the dataset, where nobody has signed it: keep it beside")
    approvers = file.parent / said.approvers
    _refuse_useless_keys(place, approvers, dataset)
    return NamedVetting(statement, approvers, frozenset(said.checks))


def _signed(file: Path, place: str, said: _Signed, expected: Expectation) -> SignedFiles:
    path = file.parent / said.path
    if not path.name:
        raise InvalidConfiguration(f"{place}: path is a whole file system")
    if Path(realpath(file)).is_relative_to(realpath(path)):
        raise InvalidConfiguration(f"{place}: {file} is in what it says is signed: keep it in another place")
    signature = path.parent / f"{path.name}.sig" if said.signature is None else file.parent / said.signature
    trust = file.parent / said.trust
    _refuse_useless_keys(place, trust, path)
    return SignedFiles(path, signature, trust, None, expected)


def _refuse_useless_keys(place: str, trust: Path, artifact: Path) -> None:
    try:
        read_trust(trust, artifact)
    except InvalidConfiguration as error:
        raise InvalidConfiguration(f"{place}: {error}") from None
