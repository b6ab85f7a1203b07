"""How work is spread over evaluators: who takes which model, and how many. Arithmetic only; nothing rests on it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import blake2b

from service.domain.models import ModelName


@dataclass(frozen=True, slots=True)
class Sign:
    """What a glance tells about one model's work, without reading any of it."""

    added: tuple[int, ...]
    """Changes whenever something is added that makes work."""
    done: int
    """Changes whenever some of the work is done, by whomever; negative while it cannot be told."""


class Outlook(Enum):
    """What a look at one model says about the next one."""

    MORE = auto()
    """There may be more: look again at once."""
    LATER = auto()
    """Something waits for time to pass: look again in the next round."""
    NOTHING = auto()
    """Nothing to do until something is added."""
    FAILED = auto()
    """It went wrong here; another may have better luck."""


def fair_share(models: int, evaluators: int) -> int:
    """Models that one of so many evaluators should have at the most; together they have room for all."""
    return -(-models // max(1, evaluators))


def preferred(models: Iterable[ModelName], evaluator: str) -> list[ModelName]:
    """First those that this evaluator should rather have than others: every one has another order.

    Rendezvous hashing: while evaluators come and go, most models stay where they are.
    """
    return sorted(models, key=lambda model: _weight(model, evaluator), reverse=True)


def surplus(held: Collection[ModelName], share: int, evaluator: str) -> list[ModelName]:
    """What is held beyond the share."""
    return preferred(held, evaluator)[share:] if len(held) > share else []


def _weight(model: ModelName, evaluator: str) -> bytes:
    return blake2b(f"{evaluator}\0{model}".encode(), digest_size=8).digest()
