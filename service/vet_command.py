"""`driftwarden vet`: say of a dataset, signed, which checks it passed and until when that holds."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from click import BadParameter, ClickException

from service.domain.errors import ArtifactRefused
from service.domain.integrity.statement import Kind
from service.domain.integrity.trust import Expectation
from service.domain.retraining.vetting_statement import VETTING_TYPE
from service.signing_command import chain_of, refuse_other_file, signing_key, write_whole
from service.usecases.vet_dataset import vet_dataset
from service.verify_command import Asked, verified_artifact

_LASTING = re.compile(r"([1-9][0-9]{0,4})([hd])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Vetting:
    """What is to be vetted, and how; one of `signer` and `trust` is there."""

    dataset: Path
    signature: Path
    signer: Path | None
    trust: Path | None
    key: Path
    passphrase_file: Path | None
    certificates: Path | None
    checks: tuple[str, ...]
    expires: datetime
    written: Path


def vet(asked: Vetting, now: datetime) -> str:
    """The digest of what was vetted, which is what the dataset was signed as. Raises `ClickException`, errors of ours.

    Nobody vets what was not read: the dataset is verified first.
    """
    refuse_other_file(asked.written, VETTING_TYPE)
    if asked.written.resolve().is_relative_to(asked.dataset.resolve()):
        raise ClickException(f"{asked.written} is in the dataset, where it would not be signed: choose another file")
    key = signing_key(asked.key, asked.passphrase_file)
    chain = chain_of(asked.certificates, key)
    try:
        dataset = verified_artifact(
            Asked(asked.dataset, asked.signature, asked.signer, asked.trust, Expectation(Kind.DATASET))
        )
    except ArtifactRefused as error:
        raise ClickException(f"{asked.dataset} is not verified: {error}") from error
    bundle = vet_dataset(dataset, asked.checks, key, now, asked.expires, chain)
    try:
        write_whole(asked.written, bundle.encode())
    except OSError as error:
        raise ClickException(f"{asked.written} cannot be written: {error.strerror}") from error
    return dataset.payload_digest


def end_of(text: str, now: datetime) -> datetime:
    """`30d` and `12h` from now on; a date (midnight UTC), or a time with its zone. Raises `BadParameter`."""
    if lasting := _LASTING.fullmatch(text):
        count, unit = int(lasting[1]), lasting[2]
        return now + (timedelta(days=count) if unit == "d" else timedelta(hours=count))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = "must be such as 30d, 12h, 2026-12-31 or 2026-12-31T23:59:59Z"
        raise BadParameter(message, param_hint="--expires") from None
    return moment.replace(tzinfo=UTC) if len(text) == len("2026-12-31") else _with_zone(moment)


def _with_zone(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise BadParameter("must be a time with its zone, such as 2026-12-31T23:59:59Z", param_hint="--expires")
    return moment.astimezone(UTC)
