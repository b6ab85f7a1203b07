"""What a soak has measured, beside what was promised."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of one promise (docs/promises.md)."""

    promise: str
    """R1, R2, ..."""
    what: str
    value: float
    unit: str
    at_most: float | None = None
    """None: said, and not promised."""

    @property
    def is_kept(self) -> bool:
        return self.at_most is None or self.value <= self.at_most

    def as_json(self) -> str:
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({**fields, "value": round(self.value, 4), "kept": self.is_kept})

    def __str__(self) -> str:
        bound = "" if self.at_most is None else f"  (at most {self.at_most:g}){'' if self.is_kept else '  NOT KEPT'}"
        return f"  {self.promise:4}{self.what}: {self.value:.4g} {self.unit}{bound}"


def highest(values: Iterable[float]) -> float:
    """0 of none."""
    return max(values, default=0.0)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank; 0 of none."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def broken(figures: Iterable[Figure]) -> Iterator[Figure]:
    return (figure for figure in figures if not figure.is_kept)
