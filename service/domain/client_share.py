"""How many rows of a window one client may contribute, and which of its rows these are.

Of too many rows those of the lowest ranks are taken (`service.domain.windows.sample`), so that whoever asks is given
the same ones. A client that chooses the names of its batches may choose among its own rows, and no more.
"""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from service.domain.models import ModelName
from service.domain.windows.excerpt import WindowRows
from service.domain.windows.sample import Ranks, ranks

_ROUNDING = 1e-9
Sender = bytes | None
"""None: nobody is known, and all of these together are one client."""


def most_of_one(rows: Mapping[Sender, int], share: float) -> int:
    """The most rows of one client such that none has more than the share of all that are left.

    Of fewer clients than the share is for, all have an equal part: the least that any of them has.
    """
    counts = np.sort(np.array([count for count in rows.values() if count], dtype=np.int64))
    if not len(counts):
        return 0
    part = max(share, 1 / len(counts))
    below = np.concatenate([[0], np.cumsum(counts)[:-1]])
    for place in range(len(counts) - 1, 0, -1):
        left = 1 - part * (len(counts) - place)  # what the clients below may have, if those from here on are held to it
        allowed = counts[place] if left <= _ROUNDING else min(counts[place], part * below[place] / left)
        if allowed >= counts[place - 1]:
            return int(allowed + _ROUNDING)
    return int(counts[0])


class ClientRows:
    """The rows of one window, by the client that sent them."""

    def __init__(self, model: ModelName) -> None:
        self._key = model.encode()
        self._ranks: defaultdict[Sender, list[Ranks]] = defaultdict(list)
        self._limits: dict[Sender, np.uint64] = {}

    def add(self, sender: Sender, rows: WindowRows) -> None:
        """Some that would be exported."""
        self._ranks[sender].append(ranks(self._key, rows.identifier, rows.places))

    def limit(self, share: float) -> None:
        """After the last of them."""
        found = {sender: np.concatenate(parts) for sender, parts in self._ranks.items()}
        most = most_of_one({sender: len(each) for sender, each in found.items()}, share)
        self._limits = {sender: np.sort(each)[most] for sender, each in found.items() if len(each) > most}
        self._ranks.clear()

    def taken(self, sender: Sender, rows: WindowRows) -> WindowRows:
        """Those of the same that are within the limit."""
        limit = self._limits.get(sender)
        if limit is None:
            return rows
        return rows.only(ranks(self._key, rows.identifier, rows.places) < limit)
