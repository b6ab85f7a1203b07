"""Who may come in: bounded work under way, shared fairly among models, decided before a body is read."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from service.domain.errors import Overloaded, Saturated

_RETRY_AFTER_SECONDS = 1.0
_SPARE = 4
"""One part in so many is kept for models that have less than their share under way."""


class Admission:
    """Room is counted in bytes, of which every request takes at least one in `max_requests`.

    A model may use what others leave, except for the spare part. What is left of that goes to those that hold less
    than an equal share, one newcomer reckoned with: so a flood finds its end before everybody else does.
    """

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self._room = max_bytes
        self._least = max(1, max_bytes // max_requests)
        self._spare = max_bytes // _SPARE
        self._held: defaultdict[str, int] = defaultdict(int)
        """By model; only of those that have something under way."""
        self._used = 0

    @contextmanager
    def place(self, model: str, size: int) -> Iterator[None]:
        """Hold room for a body of this size; raises `Overloaded` (this model's fault) or `Saturated` (everybody's)."""
        cost = max(size, self._least)
        if self._used:  # whatever its size, one alone is taken
            self._refuse_beyond_share(model, cost)
        self._held[model] += cost
        self._used += cost
        try:
            yield
        finally:
            self._used -= cost
            self._held[model] -= cost
            if not self._held[model]:
                del self._held[model]

    def _refuse_beyond_share(self, model: str, cost: int) -> None:
        left = self._room - self._used - cost
        if left >= self._spare:
            return
        held = self._held.get(model, 0)
        models = len(self._held) + (not held)
        if held + cost > self._room // (models + 1):
            message = f"requests of model {model} are under way already, more than its share"
            raise Overloaded(message, _RETRY_AFTER_SECONDS)
        if left < 0:
            raise Saturated("as many requests are under way as this process takes", _RETRY_AFTER_SECONDS)
