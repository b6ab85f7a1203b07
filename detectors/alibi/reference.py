"""What every one of these detectors keeps of its reference: the rows."""

from dataclasses import dataclass
from typing import Any

from detectors.arrays import Rows


@dataclass(frozen=True, slots=True, eq=False)
class AlibiReference:
    """Reference rows, and where torch is to compute."""

    digest: str
    count: int
    """Rows, incomplete ones among them."""
    rows: Rows
    """Those that can be used, shape (rows, features), read-only."""
    device: Any
    """torch's name of it."""

    @property
    def features(self) -> int:
        """Columns of the reference."""
        return int(self.rows.shape[1])
