"""Which batches were counted before: the log's own memory, so that each counts once."""

from collections import Counter, deque
from collections.abc import Iterable


class RecentIdentifiers:
    """Batch identifiers within a horizon: the log's own memory of what it has already counted.

    The horizon is counted in entries of the log, repeated ones included, so that an evaluator that begins anywhere
    remembers exactly what one that has read all along does.
    """

    def __init__(self, horizon: int, identifiers: Iterable[str] = ()) -> None:
        self._horizon = horizon
        self._latest: deque[str] = deque()
        self._occurrences: Counter[str] = Counter()
        for identifier in identifiers:
            self.is_repeated(identifier)

    def is_repeated(self, identifier: str) -> bool:
        """Whether it was seen within the horizon; remembers it either way."""
        repeated = identifier in self._occurrences
        self._latest.append(identifier)
        self._occurrences[identifier] += 1
        if len(self._latest) > self._horizon:
            forgotten = self._latest.popleft()
            self._occurrences[forgotten] -= 1
            if not self._occurrences[forgotten]:
                del self._occurrences[forgotten]
        return repeated
