"""Let a request in, or say why not: whose it is, then whether its caller may do what it asks for."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from service.domain.access import Access, Caller, Credentials
from service.domain.errors import AccessUndecided, NotAllowed, NotAuthenticated
from service.ports import Authenticator, Authorizer

Count = Callable[[str], object]
"""Of a refusal, by its kind."""
_log = logging.getLogger(__name__)


class Way(Authenticator, Authorizer, Protocol):
    """Who knows a caller, and therefore says what it may do."""


class AdmitCaller:
    """Asks one after the other who the caller is; the first that knows it decides."""

    def __init__(self, ways: Sequence[Way], count: Count) -> None:
        self._ways = tuple(ways)
        self._count = count

    async def __call__(self, credentials: Credentials, wanted: Access | None) -> Caller:
        """`wanted` None: being known is enough. Raises `NotAuthenticated`, `NotAllowed`, `AccessUndecided`."""
        presented = credentials.token is not None or bool(credentials.certificate_names)
        try:
            for way in self._ways:
                caller = await way.authenticate(credentials)
                if caller is None:
                    continue
                if wanted is None or await way.allows(caller, wanted):
                    return caller
                if presented:
                    raise self._not_allowed(caller, wanted)
        except AccessUndecided:
            self._count("undecided")
            raise
        self._count("unknown" if presented else "anonymous")
        if presented:
            raise NotAuthenticated("these credentials are nobody's that this service knows", presented=True)
        raise NotAuthenticated("a key or a token is wanted: Authorization: Bearer ...", presented=False)

    def _not_allowed(self, caller: Caller, wanted: Access) -> NotAllowed:
        self._count("not_allowed")
        _log.debug("refused", extra={"caller": caller.name, "verb": wanted.verb.value, "model": wanted.model})
        return NotAllowed("this caller may not do this, whether or not there is such a model")
