"""`driftwarden verify-record` and `verify-provenance`: whether what was handed out of retraining is as it was."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from click import ClickException

from service.adapters.artifacts.elliptic_keys import read_bounded, signature_holds
from service.adapters.artifacts.trust_file import trust_in
from service.domain.errors import ArtifactRefused, BrokenRecord, CorruptedState
from service.domain.integrity.envelope import MAXIMUM_BUNDLE_BYTES
from service.domain.integrity.names import shown
from service.domain.integrity.trust import Trust
from service.domain.models import TriggerOutcome
from service.domain.retraining.record import Entry
from service.usecases.verify_provenance import VerifiedProvenance, verify_provenance
from service.usecases.verify_record import VerifiedRecord, refuse_unless_it_goes_on, verify_record

MAXIMUM_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be verified, and against what."""

    record: Path
    keys: Sequence[Path]
    model: str | None
    earlier: Path | None
    lists: bool


def verify(asked: Asked) -> str:
    """What to say of a record that is verified. Raises `ClickException`, and errors of ours."""
    found = _verified(asked.record, asked.keys)
    if asked.model is not None and found.head.model != asked.model:
        raise ClickException(f"{asked.record} is not verified: it is another model's record")
    if asked.earlier is not None:
        earlier = _verified(asked.earlier, asked.keys)
        try:
            refuse_unless_it_goes_on(found, earlier)
        except BrokenRecord as error:
            raise ClickException(f"{asked.record} does not go on from {asked.earlier}: {error}") from error
    return "\n".join([*_said(asked.record, found), *(_line(each.entry) for each in found.lines if asked.lists)])


def provenance(file: Path, keys: Sequence[Path], payload_digest: str | None, record: Path | None) -> str:
    """What to say of provenance that is verified. Raises `ClickException`, and errors of ours."""
    text = read_bounded(file, MAXIMUM_BUNDLE_BYTES)
    stands_in = None if record is None else _verified(record, keys)
    try:
        found = verify_provenance(text, _trust(keys, file), datetime.now(UTC), signature_holds)
        if payload_digest is not None:
            found.refuse_other_model(payload_digest)
        if stands_in is not None:
            found.refuse_other_record(stands_in)
    except (ArtifactRefused, BrokenRecord) as error:
        raise ClickException(f"{file} is not verified: {error}") from error
    return "\n".join([f"verified: {file}", *_told(found)])


def _told(found: VerifiedProvenance) -> list[str]:
    name, digest = found.subject
    return [
        f"  of: {shown(name)} {shown(digest)}",
        f"  signed by: {found.key.name} ({found.key.fingerprint})",
        f"  made because of: {json.dumps(found.cause)}",
        *(f"  from: {shown(name)} {shown(digest)}" for name, digest in found.dependencies),
    ]


def _verified(file: Path, keys: Sequence[Path]) -> VerifiedRecord:
    text = read_bounded(file, MAXIMUM_BYTES)
    try:
        return verify_record(text, _trust(keys, file), datetime.now(UTC), signature_holds)
    except (ArtifactRefused, BrokenRecord, CorruptedState) as error:
        raise ClickException(f"{file} is not verified: {error}") from error


def _trust(keys: Sequence[Path], vouched_for: Path) -> Trust:
    return Trust(tuple(trusted for key in keys for trusted in trust_in(key, vouched_for).keys))


def _said(file: Path, found: VerifiedRecord) -> list[str]:
    head = found.head
    return [
        f"verified: {file}",
        f"  model: {shown(head.model)}",
        f"  entries: {f'{head.first} to {head.newest}' if found.lines else 'none'}",
        f"  signed by: {found.key.name} ({found.key.fingerprint}) at {head.at.isoformat(timespec='seconds')}",
        f"  digest of the newest: {head.digest}",
    ]


def _line(entry: Entry) -> str:
    told = [str(entry.number), entry.at.isoformat(timespec="seconds"), entry.step, shown(entry.run)]
    if entry.by:
        told.append(f"by {shown(entry.by)}")
    if entry.refusal is not None:
        told.append(f"{entry.refusal.check}: {shown(entry.refusal.reason)}")
    if entry.receipt is not None and entry.receipt.outcome is TriggerOutcome.DRY_RUN:
        told.append(entry.receipt.outcome)
    if entry.progress is not None:
        told.append(entry.progress)
    told += [f"{what} {shown(digest)}" for what, digest in _digests(entry) if digest]
    return " ".join(told)


def _digests(entry: Entry) -> list[tuple[str, str | None]]:
    dataset = None if entry.evidence is None else entry.evidence.dataset_digest
    return [("dataset", dataset), ("model", entry.model_digest), ("reference", entry.reference_digest)]
