"""The statement that is signed: which files an artifact has, with the digest of each.

An in-toto Statement v1 with the predicate https://model_signing/signature/v1.0 (OpenSSF Model Signing v1.0), files
hashed whole with SHA-256. What the standard has no place for, the kind and the version of the artifact, stands in a
member of the predicate that other verifiers ignore, as the standard tells them to.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from service.domain.errors import UnusableSignature
from service.domain.integrity.names import fault_of_names
from service.domain.integrity.strict_json import each, member, nothing_but, of_type, parsed

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
OURS = "driftwarden"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Kind(StrEnum):
    """What an artifact is. A key may be trusted for some only."""

    MODEL = "model"
    REFERENCE = "reference"
    DATASET = "dataset"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class Statement:
    """What a signer says."""

    name: str
    """Of the artifact; informational."""
    digests: Mapping[str, str]
    """Of every file, by its path below the artifact's folder; `.` alone if the artifact is a file. Hexadecimal."""
    ignored: frozenset[str] = frozenset()
    """Paths that the signer looked away from, with everything below them."""
    kind: Kind | None = None
    version: int | None = None

    def encode(self) -> bytes:
        """The payload of the envelope. The same statement is the same bytes."""
        digests = sorted(self.digests.items())
        ours = {"kind": self.kind, "version": self.version}
        said = {name: value for name, value in ours.items() if value is not None}
        serialization = {
            "method": "files",
            "hash_type": "sha256",
            "allow_symlinks": False,
            "ignore_paths": sorted(self.ignored),
        }
        resources = [{"name": name, "algorithm": "sha256", "digest": digest} for name, digest in digests]
        document = {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.name, "digest": {"sha256": _root(digest for _, digest in digests)}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {"serialization": serialization, "resources": resources} | ({OURS: said} if said else {}),
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode("ascii")

    def ignores(self, name: str) -> bool:
        """Whether the signer looked away from this path, or from a folder that it is in."""
        parts = name.split("/")
        return any("/".join(parts[:end]) in self.ignored for end in range(1, len(parts) + 1))


def parse_statement(payload: bytes) -> Statement:
    """Raises `UnusableSignature`. Of a payload whose signature holds, or whose author does not matter."""
    document = parsed(payload, "the statement")
    _exactly(document, "_type", STATEMENT_TYPE)
    _exactly(document, "predicateType", PREDICATE_TYPE)
    predicate = member(document, "predicate", dict, "the statement")
    ignored = _serialization(member(predicate, "serialization", dict, "predicate"))
    resources = each(member(predicate, "resources", list, "predicate"), _resource, "resources")
    digests = dict(resources)
    if not digests:
        raise UnusableSignature("the statement names no file")
    if len(digests) != len(resources):
        raise UnusableSignature("the statement names a file twice")
    fault = fault_of_names(digests)
    if fault is not None:
        raise UnusableSignature(f"the statement cannot be of files: {fault}")
    name = _subject(document, _root(digest for _, digest in resources))
    return Statement(name, digests, ignored, *_ours(predicate))


def _exactly(document: dict[str, Any], name: str, wanted: str) -> None:
    if member(document, name, str, "the statement") != wanted:
        raise UnusableSignature(f"{name} of the statement is not {wanted}")


def _serialization(document: dict[str, Any]) -> frozenset[str]:
    """How the files were hashed; symbolic links are refused whatever it says of them."""
    what = "serialization"
    nothing_but(document, {"method", "hash_type", "allow_symlinks", "ignore_paths"}, what)
    if member(document, "method", str, what) != "files":
        raise UnusableSignature("the files were hashed in a way that is not supported; sign them with the method files")
    if member(document, "hash_type", str, what) != "sha256":
        raise UnusableSignature("the files were hashed with another function than sha256; sign them with that one")
    member(document, "allow_symlinks", bool, what)
    ignored = of_type(document.get("ignore_paths", []), list, "ignore_paths")
    return frozenset(each(ignored, lambda value, place: of_type(value, str, place), "ignore_paths"))


def _resource(value: Any, place: str) -> tuple[str, str]:
    document = of_type(value, dict, place)
    nothing_but(document, {"name", "algorithm", "digest"}, place)
    if member(document, "algorithm", str, place) != "sha256":
        raise UnusableSignature(f"algorithm of {place} is not sha256")
    digest = member(document, "digest", str, place)
    if _DIGEST.fullmatch(digest) is None:
        raise UnusableSignature(f"digest of {place} is not 64 hexadecimal digits in lower case")
    return member(document, "name", str, place), digest


def _subject(document: dict[str, Any], root: str) -> str:
    subjects = member(document, "subject", list, "the statement")
    if len(subjects) != 1:
        raise UnusableSignature(f"the statement has {len(subjects)} subjects, and must have one")
    subject = of_type(subjects[0], dict, "subject[0]")
    digest = member(subject, "digest", dict, "subject[0]")
    if digest != {"sha256": root}:
        raise UnusableSignature("digest of subject[0] is not that of the resources")
    return member(subject, "name", str, "subject[0]")


def _ours(predicate: dict[str, Any]) -> tuple[Kind | None, int | None]:
    if OURS not in predicate:
        return None, None
    document = member(predicate, OURS, dict, "predicate")
    nothing_but(document, {"kind", "version"}, OURS)
    kind = member(document, "kind", str, OURS) if "kind" in document else None
    version = member(document, "version", int, OURS) if "version" in document else None
    if kind is not None and kind not in set(Kind):
        raise UnusableSignature(f"kind of {OURS} is none of {', '.join(Kind)}")
    if version is not None and version < 0:
        raise UnusableSignature(f"version of {OURS} is negative")
    return None if kind is None else Kind(kind), version


def _root(digests: Iterable[str]) -> str:
    """The standard's digest of the whole, in the order of the resources. It does not cover their names."""
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()
