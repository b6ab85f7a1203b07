"""Drift detectors: pure, vectorised over features, mergeable, and silent about what follows from a measurement.

    from detectors import KolmogorovSmirnov, against

    test = against(KolmogorovSmirnov(), reference_rows)
    print(test(window_rows))

Every registered detector, windowed or online, can be imported from here by the name of its class. Names are looked up
when they are asked for: importing this package alone costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detectors.comparison import Fitted, against, compare
    from detectors.compatibility import as_alibi
    from detectors.effects import EffectSizes, effect_sizes
    from detectors.errors import DetectorError
    from detectors.explanation import Explanation, explain, witness_rows
    from detectors.merged_effects import effect_sizes_of
    from detectors.registry import create
    from detectors.results import DriftResult, Scope
    from detectors.sequential.registry import create_online
    from detectors.sequential.results import OnlineResult, OnlineResults

__all__ = [
    "DetectorError",
    "DriftResult",
    "EffectSizes",
    "Explanation",
    "Fitted",
    "OnlineResult",
    "OnlineResults",
    "Scope",
    "against",
    "as_alibi",
    "compare",
    "create",
    "create_online",
    "effect_sizes",
    "effect_sizes_of",
    "explain",
    "witness_rows",
]

_HOMES = {
    "comparison": ("Fitted", "against", "compare"),
    "compatibility": ("as_alibi",),
    "effects": ("EffectSizes", "effect_sizes"),
    "merged_effects": ("effect_sizes_of",),
    "errors": ("DetectorError",),
    "explanation": ("Explanation", "explain", "witness_rows"),
    "registry": ("create",),
    "results": ("DriftResult", "Scope"),
    "sequential.registry": ("create_online",),
    "sequential.results": ("OnlineResult", "OnlineResults"),
}


def __getattr__(name: str) -> Any:
    """A name of `__all__`, or a registered detector's class."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    if name[:1].isupper():  # modules are asked for here as well, while the registry is still being imported
        for detector in _registered():
            if detector.__name__ == name:
                return detector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What `__getattr__` finds, for whoever looks around in a notebook."""
    return sorted({*globals(), *__all__, *(detector.__name__ for detector in _registered())})


def _registered() -> tuple[type[Any], ...]:
    windowed = import_module(f"{__name__}.registry")
    online = import_module(f"{__name__}.sequential.registry")
    return (*windowed.DETECTORS, *windowed.OPTIONAL_DETECTORS, *online.ONLINE_DETECTORS)
