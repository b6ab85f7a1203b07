"""Who calls, and what they may ask for."""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it brings NumPy along, and the command line answers without
    from service.domain.models import ModelName

KEY_PREFIX = "dwk_"
"""Of every key of ours: told apart from a token of somebody else's, and found by scanners for leaked secrets."""
KEY_BYTES = 32
ALL_MODELS = "*"
_SENDER_BYTES = 12


class Verb(StrEnum):
    """What is done, as a caller is granted it."""

    INGEST = "ingest"
    """Hand in rows, or summaries of them, or their labels."""
    READ = "read"
    """See verdicts, registrations, plans, references and the rows of windows; have rows tested at once."""
    MANAGE = "manage"
    """Set a reference or a plan; whatever else changes something."""
    METRICS = "metrics"
    """Scrape /metrics, where it is not on a port of its own."""


@dataclass(frozen=True, slots=True)
class Access:
    """What one request asks for."""

    verb: Verb
    model: "ModelName | None" = None
    """None: what concerns all models, or none in particular."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brings to say whose it is."""

    token: str | None = None
    """Of its header `Authorization: Bearer ...`."""
    certificate_names: tuple[str, ...] = ()
    """Of the client certificate of its connection, which has been verified: `URI:...`, `DNS:...`, then `CN:...`."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Verbs on models."""

    verbs: frozenset[Verb]
    models: frozenset[str] = frozenset()
    """Names, exactly."""
    prefixes: tuple[str, ...] = ()
    """And whatever begins so; the empty one is all of them."""

    def allows(self, wanted: Access) -> bool:
        if wanted.verb not in self.verbs:
            return False
        if wanted.model is not None:
            return wanted.model in self.models or wanted.model.startswith(self.prefixes)
        return wanted.verb is Verb.METRICS or "" in self.prefixes


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose a request is."""

    name: str
    grant: Grant | None = None
    """Of a caller that we keep ourselves; None: whoever knows the caller says what it may do."""
    identifier: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """These three as Kubernetes describes a user; they are handed back to it."""


def sender_of(caller: Caller) -> bytes:
    """What a batch keeps of whose it is: enough to tell callers apart, and no name."""
    return hashlib.sha256(f"sender\0{caller.name}\0{caller.identifier}".encode()).digest()[:_SENDER_BYTES]


def new_key(random: bytes) -> str:
    """The key made of `KEY_BYTES` random bytes."""
    return KEY_PREFIX + urlsafe_b64encode(random).rstrip(b"=").decode()


def key_digest(key: str) -> bytes:
    """What is stored of a key.

    A key is 256 random bits: nobody guesses it, whatever a guess costs, so a slow hash made for passwords would protect
    nothing and be paid with every request.
    """
    return hashlib.sha256(key.encode()).digest()
