"""What belongs to a model, where a file says it for some by name and for all others at once."""

from collections.abc import Mapping
from typing import TypeVar

from service.domain.models import ModelName

T = TypeVar("T")
ALL_OTHERS = "*"


def of_model(named: Mapping[str, T], model: ModelName) -> T | None:
    """Its own, or that of all others; None: there is neither."""
    return named.get(model, named.get(ALL_OTHERS))
