"""What an approver signs: that a dataset was vetted, which checks it passed, and until when that holds.

An in-toto Statement v1, whose subject is the digest of what the dataset was signed as, in the same envelope as every
other signature here. Who asked is the key that signed the dataset, and who approves is somebody else.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from service.domain.errors import UntrustedSigner, UnusableSignature
from service.domain.integrity.envelope import Bundle
from service.domain.integrity.statement import STATEMENT_TYPE, Kind
from service.domain.integrity.strict_json import each, member, nothing_but, of_type, parsed
from service.domain.integrity.trust import Trust
from service.domain.retraining.gate import Check, Refusal

VETTING_TYPE = "https://driftwarden.io/predicates/vetting/v1"
CHECK_NAME = r"\A[a-z0-9][a-z0-9._-]{0,62}\Z"
MAXIMUM_CHECKS = 100
MAXIMUM_VETTING_BYTES = 2**20
_SKEW = timedelta(minutes=1)
"""A statement of this very moment may come from a clock that is a little ahead."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class VettingStatement:
    """What an approver says."""

    dataset: str
    """Its name; informational."""
    dataset_digest: str
    """Of the payload that the dataset's signature is over: `sha256:` and hexadecimal digits."""
    checks: frozenset[str]
    """That it passed."""
    approver: str
    """Fingerprint of the key that vets."""
    requester: str
    """Fingerprint of the key that signed the dataset."""
    issued: datetime
    expires: datetime

    def encode(self) -> bytes:
        """The payload of the envelope. The same statement is the same bytes."""
        document = {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.dataset, "digest": {"sha256": self.dataset_digest.removeprefix("sha256:")}}],
            "predicateType": VETTING_TYPE,
            "predicate": {
                "checks": sorted(self.checks),
                "approver": self.approver,
                "requester": self.requester,
                "issued": _said(self.issued),
                "expires": _said(self.expires),
            },
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode("ascii")


@dataclass(frozen=True, slots=True)
class SignedDataset:
    """A dataset whose signature and files were verified."""

    digest: str
    """Of what it was signed as: `sha256:` and hexadecimal digits."""
    version: int | None
    signer: str
    """Fingerprint of the key that signed it."""

    def refusal(self, said: VettingStatement, approver: str, wanted: Collection[str], now: datetime) -> Refusal | None:
        """Why that statement, signed by the key of that fingerprint, is not enough; None: it is.

        `wanted`: checks that it must have passed.
        """
        missing = sorted(set(wanted) - said.checks)
        others = said.approver != approver or said.requester != self.signer
        tests = (
            (approver == self.signer, "approver_is_requester", "the key that signed the dataset has vetted it, too"),
            (said.dataset_digest != self.digest, "vetting_of_another_dataset", f"it is of {said.dataset_digest}"),
            (others, "vetting_of_others", "it names other keys than those that signed it and the dataset"),
            (said.issued > now + _SKEW, "vetting_not_yet_valid", f"it holds from {_said(said.issued)} on"),
            (said.expires <= now, "vetting_expired", f"it held until {_said(said.expires)}: vet the dataset again"),
            (missing, "checks_missing", f"it does not say that the dataset passed {', '.join(missing)}"),
        )
        return next((Refusal(Check.VETTING, reason, detail) for wrong, reason, detail in tests if wrong), None)


def parse_vetting(payload: bytes) -> VettingStatement:
    """Raises `UnusableSignature`. Of a payload whose signature holds."""
    document = parsed(payload, "the vetting statement")
    _exactly(document, "_type", STATEMENT_TYPE)
    _exactly(document, "predicateType", VETTING_TYPE)
    nothing_but(document, {"_type", "subject", "predicateType", "predicate"}, "the vetting statement")
    name, digest = _subject(document)
    predicate = member(document, "predicate", dict, "the vetting statement")
    nothing_but(predicate, {"checks", "approver", "requester", "issued", "expires"}, "predicate")
    checks = member(predicate, "checks", list, "predicate")
    if len(checks) > MAXIMUM_CHECKS:
        raise UnusableSignature(f"checks of predicate are more than {MAXIMUM_CHECKS}")
    names = each(checks, _check, "checks")
    approver, requester = (_hexadecimal(predicate, name, "predicate") for name in ("approver", "requester"))
    issued, expires = (_moment(predicate, name) for name in ("issued", "expires"))
    if expires <= issued:
        raise UnusableSignature("expires of predicate is not after issued")
    return VettingStatement(name, f"sha256:{digest}", frozenset(names), approver, requester, issued, expires)


def may_do_both(approvers: Trust, signers: Trust, vetting: Bundle, now: datetime) -> bool:
    """Whether somebody may sign datasets and vet them: then one person is enough, and vetting says nothing.

    Of keys it is any that both lists have; of people with certificates, whoever signed this vetting.
    """
    keys = {key.fingerprint for key in signers.keys if Kind.DATASET in key.kinds}
    if any(key.fingerprint in keys for key in approvers.keys):
        return True
    try:
        return Kind.DATASET in signers.key_of(vetting, now).kinds
    except UntrustedSigner:
        return False


def _exactly(document: dict[str, Any], name: str, wanted: str) -> None:
    if member(document, name, str, "the vetting statement") != wanted:
        raise UnusableSignature(f"{name} of the vetting statement is not {wanted}")


def _subject(document: dict[str, Any]) -> tuple[str, str]:
    subjects = member(document, "subject", list, "the vetting statement")
    if len(subjects) != 1:
        raise UnusableSignature(f"the vetting statement has {len(subjects)} subjects, and must have one")
    subject = of_type(subjects[0], dict, "subject[0]")
    nothing_but(subject, {"name", "digest"}, "subject[0]")
    digest = member(subject, "digest", dict, "subject[0]")
    nothing_but(digest, {"sha256"}, "digest of subject[0]")
    return member(subject, "name", str, "subject[0]"), _hexadecimal(digest, "sha256", "digest of subject[0]")


def _check(value: Any, place: str) -> str:
    name = of_type(value, str, place)
    if re.fullmatch(CHECK_NAME, name) is None:
        raise UnusableSignature(f"{place} is not a check's name")
    return name


def _hexadecimal(document: dict[str, Any], name: str, what: str) -> str:
    value = member(document, name, str, what)
    if _DIGEST.fullmatch(value) is None:
        raise UnusableSignature(f"{name} of {what} is not 64 hexadecimal digits in lower case")
    return value


def _moment(document: dict[str, Any], name: str) -> datetime:
    text = member(document, name, str, "predicate")
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UnusableSignature(f"{name} of predicate is not a time") from None
    raise UnusableSignature(f"{name} of predicate is a time without its zone")


def _said(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
