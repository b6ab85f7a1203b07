"""What the service signs of a record that it hands out: where it begins and where it ends.

A chain shows that nothing was changed, moved or taken out between two entries. That nothing is missing at its end, only
a signature over that end can show: an in-toto Statement v1 under DSSE, the last line of what is handed out.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from service.domain.errors import BrokenRecord, UnusableSignature
from service.domain.integrity.statement import STATEMENT_TYPE
from service.domain.integrity.strict_json import member, nothing_but, of_type, parsed
from service.domain.retraining.record import Line, first_break

PREDICATE_TYPE = "https://driftwarden.io/predicates/retraining-record/v1"
NOTHING = "sha256:" + hashlib.sha256(b"").hexdigest()
"""In the place of the newest entry's digest, where there is none."""


@dataclass(frozen=True, slots=True)
class Head:
    """Of entries that follow one another."""

    model: str
    first: int
    """Number of the first that is kept; one more than `newest` if there are none."""
    newest: int
    digest: str
    """Of the newest."""
    at: datetime
    """When it was signed, by the service's clock."""

    def encode(self) -> bytes:
        """The payload of the envelope."""
        document = {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.model, "digest": {"sha256": self.digest.removeprefix("sha256:")}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "model": self.model,
                "first": self.first,
                "newest": self.newest,
                "at": self.at.astimezone(UTC).isoformat(),
            },
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode("ascii")

    def refuse_other(self, lines: Sequence[Line]) -> None:
        """Raise `BrokenRecord` unless these are, whole and in order, the entries that it is of."""
        broken = first_break(lines)
        if broken is not None:
            raise BrokenRecord(
                f"entry {broken} does not follow from what stands in front of it: one of the two was changed or moved, "
                "or entries between them are missing"
            )
        if any(line.entry.model != self.model for line in lines):
            raise BrokenRecord("there are entries of another model than the one whose record was signed")
        first = lines[0].entry.number if lines else self.newest + 1
        if first != self.first:
            raise BrokenRecord(f"its first entry is {first}, and was {self.first} when it was signed")
        newest, digest = (lines[-1].entry.number, lines[-1].digest) if lines else (self.newest, NOTHING)
        if newest != self.newest:
            raise BrokenRecord(f"its newest entry is {newest}, and was {self.newest} when it was signed")
        if digest != self.digest:
            raise BrokenRecord(f"entry {newest}, its newest, is not the one that was signed")


def parse_head(payload: bytes) -> Head:
    """Raises `UnusableSignature`. Of a payload whose signature holds."""
    what = "the statement at the end of the record"
    document = parsed(payload, what)
    if document.get("_type") != STATEMENT_TYPE or document.get("predicateType") != PREDICATE_TYPE:
        raise UnusableSignature(f"{what} is of another kind: its predicateType is not {PREDICATE_TYPE}")
    predicate = member(document, "predicate", dict, what)
    nothing_but(predicate, {"model", "first", "newest", "at"}, "predicate")
    subjects = member(document, "subject", list, what)
    if len(subjects) != 1:
        raise UnusableSignature(f"{what} must have one subject")
    digest = member(of_type(subjects[0], dict, "subject[0]"), "digest", dict, "subject[0]")
    try:
        at = datetime.fromisoformat(member(predicate, "at", str, "predicate"))
    except ValueError:
        raise UnusableSignature("at of predicate is not a time") from None
    return Head(
        member(predicate, "model", str, "predicate"),
        member(predicate, "first", int, "predicate"),
        member(predicate, "newest", int, "predicate"),
        "sha256:" + member(digest, "sha256", str, "digest of subject[0]"),
        at,
    )
