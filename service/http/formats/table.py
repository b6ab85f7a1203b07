"""What every format yields."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of numbers, and what the payload said about them."""

    rows: NDArray[np.float64]
    """Shape (rows, columns), at least one of each, finite."""
    features: Sequence[str] | None
    observed_at: datetime | None = None
    """When the inferences happened; the latest of them, where each row has a time of its own."""
    times: NDArray[np.int64] | None = None
    """Of each row, in milliseconds since the epoch, if the payload said so."""
