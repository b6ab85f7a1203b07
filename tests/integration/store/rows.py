"""What the windows of a model were made of: the log in the store, cut again from its beginning."""

from collections.abc import Sequence

from redis import Redis

from service.adapters.log.redis_observations import logged_batch
from service.domain.models import Cursor
from service.domain.windows import RecentIdentifiers, WindowCutter

KEY = "driftwarden:{churn}:observations"


def distinct_rows(client: Redis) -> list[float]:
    """Numbers of all rows in the log, each batch once, in order."""
    seen: set[str] = set()
    rows: list[float] = []
    for logged in map(logged_batch, client.xrange(KEY)):
        if logged.batch.identifier not in seen:
            seen.add(logged.batch.identifier)
            rows.extend(logged.batch.rows[:, 0].tolist())
    return rows


def windows(client: Redis, window_rows: int, features: int) -> Sequence[tuple[str, int]]:
    """Cursors that a fresh evaluator, reading from the start, would commit."""
    cutter = WindowCutter(window_rows, features, Cursor(), RecentIdentifiers(1_000_000))
    cursors = []
    for entry in client.xrange(KEY):
        cutter.feed(logged_batch(entry))
        while (window := cutter.cut()) is not None:
            cursors.append((str(window.end.position), window.end.offset))
    return cursors
