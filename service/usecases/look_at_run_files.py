"""The checks of the gate that read files, in their order: dataset, its vetting, its version, base model."""

from dataclasses import dataclass

from service.domain.errors import (
    ArtifactRefused,
    ArtifactTampered,
    ContentRefused,
    NotSigned,
    RolledBack,
    UnusableSignature,
)
from service.domain.retraining.gate import Check, Refusal
from service.domain.retraining.vetting_statement import SignedDataset
from service.ports import RunFiles

_REASONS: tuple[tuple[type[ArtifactRefused], str], ...] = (
    (NotSigned, "unsigned"),
    (UnusableSignature, "signature_unusable"),
    (RolledBack, "rolled_back"),
    (ArtifactTampered, "tampered"),
    (ContentRefused, "content_refused"),
    (ArtifactRefused, "signer_not_trusted"),
)
"""The first kind that an error is of."""
_MAXIMUM_DETAIL = 1_000
"""Characters: it is written down, and names of files may be long."""
_OF_VETTING = {"unsigned": "not_vetted", "signature_unusable": "vetting_unusable"}
_OF_BYTES = (ArtifactTampered, ContentRefused)


@dataclass(frozen=True, slots=True)
class FilesFound:
    """What was read, where nothing refuses."""

    template_digest: str | None
    """As it is now; None: no file of one is pinned."""
    dataset: SignedDataset | None
    approver: str | None
    base_model_digest: str | None
    advisories: tuple[Refusal, ...]


def look_at_files(files: RunFiles, used_version: int | None, *, enforced: bool) -> FilesFound | Refusal:
    """Blocks while every byte is read. Raises `ArtifactUnreadable`: nothing can be said now.

    `enforced`: False makes what is wrong with a dataset advisory.
    """
    dataset, approver, refusals = _dataset(files, used_version)
    if enforced and refusals:
        return refusals[0]
    try:
        base_model_digest = files.base_model()
    except ArtifactRefused as error:
        return Refusal(Check.BASE_MODEL, f"base_model_{_reason(error)}", _detail(error))
    return FilesFound(files.template_digest(), dataset, approver, base_model_digest, tuple(refusals))


def _dataset(files: RunFiles, used_version: int | None) -> tuple[SignedDataset | None, str | None, list[Refusal]]:
    """It, who has vetted it, and whatever is wrong, the first thing first."""
    dataset = _signed(files)
    if isinstance(dataset, Refusal):
        return None, None, [dataset]
    approver = _vetted(files, dataset)
    outdated = _outdated(dataset, used_version)
    refusals = [each for each in (approver, outdated) if isinstance(each, Refusal)]
    return dataset, None if isinstance(approver, Refusal) else approver, refusals


def _signed(files: RunFiles) -> SignedDataset | Refusal:
    try:
        dataset = files.dataset()
    except ArtifactRefused as error:
        check = Check.DATASET_BYTES if isinstance(error, _OF_BYTES) else Check.DATASET_SIGNATURE
        return Refusal(check, f"dataset_{_reason(error)}", _detail(error))
    if dataset is None:
        detail = (
            "no dataset is named for this model: name one in the file of DRIFT_TRIGGER__RETRAININGS (docs/vetting.md)"
        )
        return Refusal(Check.DATASET_SIGNATURE, "no_dataset", detail)
    return dataset


def _vetted(files: RunFiles, dataset: SignedDataset) -> str | Refusal:
    try:
        return files.vet(dataset)
    except ArtifactRefused as error:
        return Refusal(Check.VETTING, _OF_VETTING.get(_reason(error), "approver_not_trusted"), _detail(error))


def _outdated(dataset: SignedDataset, used_version: int | None) -> Refusal | None:
    if dataset.version is None:
        detail = "its signature names no version, so whether it is an older one cannot be told: sign it with --version"
        return Refusal(Check.DATASET_VERSION, "dataset_without_version", detail)
    if used_version is not None and dataset.version < used_version:
        detail = f"it is version {dataset.version}, and version {used_version} was trained on before"
        return Refusal(Check.DATASET_VERSION, "dataset_older", detail)
    return None


def _detail(error: ArtifactRefused) -> str:
    return str(error)[:_MAXIMUM_DETAIL]


def _reason(error: ArtifactRefused) -> str:
    return next(reason for kind, reason in _REASONS if isinstance(error, kind))
