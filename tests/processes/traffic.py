"""Rows to send, and the requests that send them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEATURES = ("amount", "age", "tenure")
SMALL_PLAN: dict[str, Any] = {
    "window": {"rows": 50},
    "detectors": [{"name": "kolmogorov_smirnov"}],
    "decision": {"false_alarm_rate": 0.01},
    "response": {"confirm": 1, "out_of": 1, "cool_down": 0, "cool_down_seconds": 0, "at_most_per_day": 100},
}
"""Small windows, one fast detector, an action for every window that drifts."""
EARLIER_PLAN = {**SMALL_PLAN, "response": {"confirm": 1, "out_of": 1, "cool_down": 0}}
"""The same as far as releases know it that do not know when runs may start."""


def rows(seed: int, count: int, *, shift: float = 0.0, features: int = len(FEATURES)) -> NDArray[np.float64]:
    """Independent standard normal rows, moved by `shift`."""
    drawn: NDArray[np.float64] = np.random.default_rng(seed).normal(shift, 1.0, (count, features))
    return drawn


def payload(values: NDArray[np.float64] | list[list[float]], **more: Any) -> dict[str, Any]:
    """A body for /reference or /observations."""
    return {"rows": np.asarray(values).tolist(), **more}


def reference(seed: int = 1, count: int = 1000) -> dict[str, Any]:
    """A named reference, by default long enough to be read but too short to calibrate a small plan."""
    return payload(rows(seed, count), features=list(FEATURES))


def numbered(first: int, count: int) -> list[list[float]]:
    """Rows that say which they are, in their first feature."""
    return [[float(number), 0.5, -0.5] for number in range(first, first + count)]
