"""What the description of the interface says of authentication; it is done in front of the framework."""

from typing import Any

from fastapi import Security
from fastapi.params import Depends
from fastapi.security import HTTPBearer

from service.http.routes import problems

_DESCRIPTION = "A key of this service or a Kubernetes token for its audience; a client certificate takes its place."
DESCRIBED: list[Depends] = [Security(HTTPBearer(auto_error=False, description=_DESCRIPTION))]
REFUSALS: dict[int | str, dict[str, Any]] = problems(401, 403, 503)
"""Where callers are authenticated."""
