"""Callers from a file: keys by their digest, client certificates by a name in them, and what each may do.

    # name        credential                                      verbs         models
    fraud-pods    sha256:9f86d081884c7d659a2feaa0c55ad015...      ingest        fraud*
    dashboard     sha256:...                                      read          *
    training      certificate:URI:spiffe://cluster/ns/ml/sa/train manage,read   fraud,churn
    loggers       anonymous                                       ingest        fraud-v2

A caller may have several lines, which are several credentials: that is how a key is replaced by another. `anonymous` is
whoever brings no credentials at all, for senders that have none to bring.
"""

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from service.domain.access import ALL_MODELS, Access, Caller, Credentials, Grant, Verb, key_digest
from service.domain.errors import InvalidConfiguration, InvalidModelName
from service.domain.models import model_name
from service.watched_files import WatchedFiles

SETTING = "DRIFT_AUTHENTICATION__CALLERS_FILE"
ANONYMOUS = "anonymous"
MAXIMUM_BYTES = 2**20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:/-]{0,199}", re.ASCII)
_KEY = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
_CERTIFICATE = re.compile(r"certificate:((?:URI|DNS|CN):.+)")
_PREFIX = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,62})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Callers:
    by_digest: dict[bytes, tuple[bytes, Caller]] = field(default_factory=dict)
    by_certificate: dict[str, Caller] = field(default_factory=dict)
    without: list[Caller] = field(default_factory=list)
    """At most one."""


class CallersFile:
    """Authenticator and authorizer: a credential that is no longer in the file is nobody's, a second later."""

    def __init__(self, path: Path) -> None:
        """Raises `InvalidConfiguration`."""
        self._watched = WatchedFiles((path,), lambda: _read(path))
        self.watch = self._watched.watch
        self.look = self._watched.look

    @property
    def callers(self) -> int:
        """How many credentials there are."""
        current = self._watched.current
        return len(current.by_digest) + len(current.by_certificate)

    @property
    def anonymous(self) -> bool:
        """Whether there is something for those who bring none."""
        return bool(self._watched.current.without)

    async def authenticate(self, credentials: Credentials, /) -> Caller | None:
        """A token decides alone; without one, the first of the certificate's names that is known."""
        callers = self._watched.current
        if credentials.token is not None:
            digest = key_digest(credentials.token)
            # What a table of digests may tell by its timing is about digests, of which nobody can choose a part; and
            # what is found is compared in constant time, whatever the table did.
            found = callers.by_digest.get(digest)
            return found[1] if found is not None and hmac.compare_digest(found[0], digest) else None
        for name in credentials.certificate_names:
            if name in callers.by_certificate:
                return callers.by_certificate[name]
        return callers.without[0] if callers.without and not credentials.certificate_names else None

    async def allows(self, caller: Caller, wanted: Access, /) -> bool:
        return caller.grant is not None and caller.grant.allows(wanted)


def line_of(name: str, key: str, verbs: Iterable[Verb], models: Iterable[str]) -> str:
    """What the file says of a key; raises `InvalidConfiguration`."""
    words = [name, f"sha256:{key_digest(key).hex()}", ",".join(verbs), ",".join(models)]
    try:
        _add(_Callers(), words)
    except ValueError as error:
        raise InvalidConfiguration(str(error)) from None
    return " ".join(words)


def _read(path: Path) -> _Callers:
    try:
        with path.open("rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InvalidConfiguration(f"{SETTING}: {path} cannot be read: {reason}") from None
    if len(content) > MAXIMUM_BYTES:
        raise InvalidConfiguration(f"{SETTING}: {path} has more than {MAXIMUM_BYTES} bytes")
    try:
        return _parse(text)
    except InvalidConfiguration as error:
        raise InvalidConfiguration(f"{SETTING}: {path}: {error}") from None


def _parse(text: str) -> _Callers:
    """Raises `InvalidConfiguration`, which names the line and repeats nothing of it: a key may stand there in full."""
    callers = _Callers()
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            _add(callers, words)
        except ValueError as error:
            raise InvalidConfiguration(f"line {number}: {error}") from None
    return callers


def _add(callers: _Callers, words: list[str]) -> None:
    if len(words) != 4:
        raise ValueError("wanted are four words: name, credential, verbs, models")
    name, credential, verbs, models = words
    if not _NAME.fullmatch(name):
        raise ValueError("the name has 1 to 200 letters, digits and . _ @ : / -, and begins with a letter or digit")
    caller = Caller(name, _grant(verbs, models))
    if key := _KEY.fullmatch(credential):
        digest = bytes.fromhex(key[1])
        if digest in callers.by_digest:
            raise ValueError("this key is in a line above")
        callers.by_digest[digest] = (digest, caller)
    elif certificate := _CERTIFICATE.fullmatch(credential):
        if certificate[1] in callers.by_certificate:
            raise ValueError("this certificate is in a line above")
        callers.by_certificate[certificate[1]] = caller
    elif credential == ANONYMOUS:
        if callers.without:
            raise ValueError("anonymous is in a line above")
        callers.without.append(caller)
    else:
        message = "the credential is sha256: and 64 digits, certificate: and URI:, DNS: or CN: and a name, or anonymous"
        raise ValueError(message)


def _grant(verbs: str, models: str) -> Grant:
    known = {verb.value for verb in Verb}
    if not set(verbs.split(",")) <= known:
        raise ValueError(f"verbs are {', '.join(sorted(known))}, with commas between them")
    exact, prefixes = set(), []
    for model in models.split(","):
        if model.endswith(ALL_MODELS):
            prefixes.append(model.removesuffix(ALL_MODELS))
        else:
            exact.add(model)
    try:
        names = frozenset(model_name(model) for model in exact)
    except InvalidModelName:
        names = None
    if names is None or not all(map(_PREFIX.fullmatch, prefixes)):
        raise ValueError("models are names, beginnings of names with * behind them, or *, with commas between them")
    return Grant(frozenset(map(Verb, verbs.split(","))), frozenset(names), tuple(prefixes))
