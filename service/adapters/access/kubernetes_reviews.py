"""Callers that Kubernetes knows: TokenReview says who one is, SubjectAccessReview what it may do.

A model is the virtual resource `models` of the group `driftwarden.dev`, in the service's own namespace: a Role there
with these verbs, and perhaps `resourceNames`, lets a caller in. /metrics is the path of that name, verb `get`.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from service.adapters.access.asking import Asking
from service.adapters.access.remembered import Remembered
from service.adapters.kubernetes_api import KubernetesApi, KubernetesUnreachable
from service.domain.access import KEY_PREFIX, Access, Caller, Credentials, Verb
from service.domain.errors import AccessUndecided

GROUP, RESOURCE = "driftwarden.dev", "models"
MOST_REMEMBERED = 4096
"""Of each kind. Those who are let in and those who are not are remembered apart: strangers push out no acquaintance."""
REFUSED_SECONDS = 5.0
_AT_A_TIME, _WAITING = 8, 56
"""Questions about strangers, and as many about acquaintances whose time is up; neither waits for the other."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_REVIEW = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_SILENT_SECONDS = 30.0
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_log = logging.getLogger(__name__)
Count = Callable[[str, str], object]
"""Of an answer: `token` or `access`, and `allowed`, `refused` or `failed`."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What tokens have to be for, and where roles count."""

    audience: str
    namespace: str
    seconds: float = 30.0
    """How long an answer is believed: as long a token works after it was revoked, or a right after it was taken."""
    timeout_seconds: float = 5.0


class KubernetesReviews:
    """Authenticator and authorizer; nothing is believed longer than its time because the API server is away."""

    def __init__(self, api: KubernetesApi, reviewed: Reviewed, monotonic: Callable[[], float], count: Count) -> None:
        self._api = api
        self._audience = reviewed.audience
        self._namespace = reviewed.namespace
        self._monotonic = monotonic
        self._count = count
        self._callers: Remembered[bytes, Caller] = Remembered(MOST_REMEMBERED, reviewed.seconds, monotonic)
        self._acquaintances: Remembered[bytes, bool] = Remembered(MOST_REMEMBERED, 20 * reviewed.seconds, monotonic)
        self._strangers: Remembered[bytes, bool] = Remembered(MOST_REMEMBERED, REFUSED_SECONDS, monotonic)
        self._allowed: Remembered[tuple[Caller, Access], bool] = Remembered(
            MOST_REMEMBERED, reviewed.seconds, monotonic
        )
        self._forbidden: Remembered[tuple[Caller, Access], bool] = Remembered(
            MOST_REMEMBERED, REFUSED_SECONDS, monotonic
        )
        bounds = (_AT_A_TIME, _WAITING, reviewed.timeout_seconds)
        self._ask_about_strangers: Asking[bytes, Caller | None] = Asking(*bounds)
        self._ask_about_acquaintances: Asking[bytes, Caller | None] = Asking(*bounds)
        self._ask_about_access: Asking[tuple[Caller, Access], bool] = Asking(*bounds)
        self._said_at = -_SILENT_SECONDS

    async def authenticate(self, credentials: Credentials, /) -> Caller | None:
        token = credentials.token
        if token is None or token.startswith(KEY_PREFIX) or not _TOKEN.fullmatch(token):
            return None  # no token of Kubernetes': it is not asked
        digest = hashlib.sha256(token.encode()).digest()
        known = self._callers.get(digest)
        if known is not None:
            return known
        if self._strangers.get(digest):
            return None
        ask = self._ask_about_acquaintances if self._acquaintances.get(digest) else self._ask_about_strangers
        caller = await ask(digest, lambda: self._review(token))
        if caller is None:
            self._acquaintances.drop(digest)
            self._strangers.put(digest, True)
        else:
            self._acquaintances.put(digest, True)
            self._callers.put(digest, caller)
        return caller

    async def allows(self, caller: Caller, wanted: Access, /) -> bool:
        question = (caller, wanted)
        if self._allowed.get(question):
            return True
        if self._forbidden.get(question):
            return False
        allowed = await self._ask_about_access(question, lambda: self._review_access(caller, wanted))
        (self._allowed if allowed else self._forbidden).put(question, True)
        return allowed

    def stop(self) -> None:
        """Give up the questions under way."""
        for asking in (self._ask_about_strangers, self._ask_about_acquaintances, self._ask_about_access):
            asking.stop()

    async def _review(self, token: str) -> Caller | None:
        spec = {"token": token, "audiences": [self._audience]}
        status = await self._status("token", _REVIEW, "authentication.k8s.io/v1", "TokenReview", spec)
        # A server that knows nothing of audiences names none: then the token was meant for the API server itself.
        meant = status.get("authenticated") is True and self._audience in (status.get("audiences") or ())
        caller = _caller(status.get("user") or {}) if meant else None
        self._count("token", "allowed" if caller else "refused")
        return caller

    async def _review_access(self, caller: Caller, wanted: Access) -> bool:
        spec: dict[str, Any] = {
            "user": caller.name,
            "uid": caller.identifier,
            "groups": list(caller.groups),
            "extra": {name: list(values) for name, values in caller.extra},
        }
        if wanted.verb is Verb.METRICS:
            spec["nonResourceAttributes"] = {"path": "/metrics", "verb": "get"}
        else:
            spec["resourceAttributes"] = {
                "group": GROUP,
                "resource": RESOURCE,
                "namespace": self._namespace,
                "verb": wanted.verb.value,
                "name": wanted.model or "",
            }
        status = await self._status("access", _ACCESS, "authorization.k8s.io/v1", "SubjectAccessReview", spec)
        allowed = status.get("allowed") is True
        self._count("access", "allowed" if allowed else "refused")
        return allowed

    async def _status(self, asked: str, path: str, version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._api.send("POST", path, {"apiVersion": version, "kind": kind, "spec": spec})
        except KubernetesUnreachable as error:
            raise self._undecided(asked, str(error)) from None
        status = answer.body.get("status")
        if not answer.ok or not isinstance(status, dict):
            # Its message may repeat what it was asked, and that was somebody's token.
            reason = answer.reason if answer.reason.isalpha() else ""
            raise self._undecided(asked, f"the Kubernetes API answered {answer.status} {reason} to a {kind}")
        return status

    def _undecided(self, asked: str, reason: str) -> AccessUndecided:
        self._count(asked, "failed")
        now = self._monotonic()
        if now - self._said_at >= _SILENT_SECONDS:  # there may be thousands a second
            self._said_at = now
            _log.error("callers cannot be looked up, so they are refused: %s", reason)
        return AccessUndecided("the Kubernetes API could not be asked who the caller is, or what it may do")


def _caller(user: dict[str, Any]) -> Caller | None:
    if not user.get("username"):
        return None
    extra = user.get("extra") or {}
    return Caller(
        name=str(user["username"]),
        identifier=str(user.get("uid", "")),
        groups=tuple(map(str, user.get("groups") or ())),
        extra=tuple((str(name), tuple(map(str, values))) for name, values in sorted(extra.items())),
    )
