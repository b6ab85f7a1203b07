"""alibi-detect itself: how it is had, what has to be said of it, and the state of the process that it needs."""

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import frozen
from detectors.errors import EngineUnavailable

LICENCE_NOTICE = (
    "alibi-detect 0.11.5 and later is under the Business Source License 1.1, which is not an open-source licence. Using"
    " it in production needs a licence from its owner, Seldon Technologies Limited (non-profit educational"
    " institutions have one, within its limits). Driftwarden's own detectors do not need it."
)
"""To be said wherever one of these detectors is switched on."""

UNMEASURED = {"data": {"distance": np.nan, "p_val": np.nan}}
"""What it is taken to have said where it could not be asked."""

_GENERATORS = Lock()  # the process has one of each

Values = NDArray[np.float64]
Pair = tuple[Values, Values]
"""Statistics and p-values."""


def alibi_detect() -> Any:
    """Its module of drift detectors; raises `EngineUnavailable`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its dependencies' deprecations, which nobody here can do anything about
            return import_module("alibi_detect.cd")
    except ImportError as error:
        extra = "the extra driftwarden[alibi] brings it, in an environment of its own (`make alibi`): it needs numpy 1"
        raise EngineUnavailable(f"alibi-detect cannot be imported ({error}); {extra}. {LICENCE_NOTICE}") from error


def decided(statistic: Values, p_value: Values) -> Pair:
    """Both, or neither."""
    unknown = ~(np.isfinite(statistic) & np.isfinite(p_value))
    return frozen(np.where(unknown, np.nan, statistic)), frozen(np.where(unknown, np.nan, p_value))


@contextmanager
def seeded(seed: int, device: Any) -> Iterator[None]:
    """The process's generators at this seed, for one thread at a time, and afterwards as they were; nothing warns."""
    torch = import_module("torch")
    devices = [] if getattr(device, "type", device) == "cpu" else [device]
    with _GENERATORS, warnings.catch_warnings(), np.errstate(all="ignore"), torch.random.fork_rng(devices=devices):
        warnings.simplefilter("ignore")
        numpys, pythons = np.random.get_state(), random.getstate()  # noqa: NPY002 - theirs draws from it
        try:
            np.random.seed(seed)  # noqa: NPY002
            random.seed(seed)
            torch.manual_seed(seed)
            yield
        finally:
            np.random.set_state(numpys)  # noqa: NPY002
            random.setstate(pythons)
