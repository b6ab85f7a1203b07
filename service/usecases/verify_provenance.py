"""Decide of a model's provenance whether the service signed it, and whether it goes with a model and with a record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.domain.errors import BrokenRecord, RolledBack, UnusableSignature
from service.domain.integrity.envelope import parse_bundle
from service.domain.integrity.statement import STATEMENT_TYPE
from service.domain.integrity.strict_json import each, member, of_type, parsed
from service.domain.integrity.trust import Trust, TrustedKey
from service.domain.retraining.provenance import BUILD_TYPE, PREDICATE_TYPE
from service.ports import SignatureCheck
from service.usecases.verify_record import VerifiedRecord, signed_by


@dataclass(frozen=True, slots=True)
class VerifiedProvenance:
    """What the service said of a run. Digests are `sha256:` and hexadecimal digits."""

    subject: tuple[str, str]
    """What was made, and its digest."""
    cause: Mapping[str, Any]
    """Model, run, and the drift event, or who asked and why."""
    dependencies: Sequence[tuple[str, str]]
    entries: Sequence[str]
    """Digests of the record's entries that it was made of."""
    key: TrustedKey

    def refuse_other_model(self, payload_digest: str) -> None:
        """Raise `RolledBack` unless it is of the model that was signed as that."""
        if self.subject[1] != payload_digest:
            raise RolledBack(f"it is of another artifact than the one expected: {self.subject[1]}")

    def refuse_other_record(self, record: VerifiedRecord) -> None:
        """Raise `BrokenRecord` unless all that it was made of stands in the record."""
        if not self.entries or not set(self.entries) <= {line.digest for line in record.lines}:
            raise BrokenRecord("entries that it was made of do not stand in the record")


def verify_provenance(text: bytes, trust: Trust, now: datetime, holds: SignatureCheck) -> VerifiedProvenance:
    """Raises `UnusableSignature`, `UntrustedSigner`."""
    bundle = parse_bundle(text)
    key = signed_by(bundle, trust, now, holds)
    what = "the provenance"
    document = parsed(bundle.payload, what)
    if document.get("_type") != STATEMENT_TYPE or document.get("predicateType") != PREDICATE_TYPE:
        raise UnusableSignature(f"{what} is of another kind: its predicateType is not {PREDICATE_TYPE}")
    predicate = member(document, "predicate", dict, what)
    build = member(predicate, "buildDefinition", dict, "predicate")
    if build.get("buildType") != BUILD_TYPE:
        raise UnusableSignature(f"buildType of {what} is not {BUILD_TYPE}")
    details = member(predicate, "runDetails", dict, "predicate")
    subjects = each(member(document, "subject", list, what), _named, "subject")
    if len(subjects) != 1:
        raise UnusableSignature(f"{what} must have one subject")
    return VerifiedProvenance(
        subject=subjects[0],
        cause=member(build, "externalParameters", dict, "buildDefinition"),
        dependencies=each(member(build, "resolvedDependencies", list, "buildDefinition"), _named, "dependencies"),
        entries=[digest for _, digest in each(member(details, "byproducts", list, "runDetails"), _named, "byproducts")],
        key=key,
    )


def _named(value: Any, place: str) -> tuple[str, str]:
    """Its digest is empty where nobody has looked at it."""
    document = of_type(value, dict, place)
    name = member(document, "name", str, place)
    if "digest" not in document:
        return name, ""
    digest = member(document, "digest", dict, place)
    return name, "sha256:" + member(digest, "sha256", str, f"digest of {place}")
