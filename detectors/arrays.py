"""The door for rows: any array library in, checked float64 out, on the host or where a detector computes.

The only import of array_api_compat. Transfers to the host go through DLPack, because the array API standard has no
portable name for "the host" that `to_device` would take.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

import array_api_compat
import numpy as np
from array_api_compat import is_array_api_obj, is_torch_array
from array_api_compat import numpy as host_namespace
from numpy.typing import NDArray

from detectors.errors import BackendUnavailable, InvalidRows

T = TypeVar("T", bound=np.generic)

Rows = NDArray[np.float64]
"""Two-dimensional (rows, features), C order, on the host."""

LIBRARIES = ("numpy", "torch")
"""What `open_backend` opens. Rows of any other library of the array API standard are taken as well."""

INEXACT = (
    ", a whole number that float64 cannot hold: beyond 2^53 different ones would become equal; give the difference"
    " from a common offset, or codes of categories"
)
"""How a message ends that refuses one."""

WHOLE = 2**53
"""Up to here float64 holds every integer."""

_LARGEST = float(np.finfo(np.float64).max)
_AT_ONCE = 2**13


@dataclass(frozen=True, slots=True)
class Backend:
    """An array library and one of its devices: where a detector computes."""

    namespace: Any
    """The library, in the shape of the array API standard (2023.12)."""
    device: Any
    """As the library names it."""

    def put(self, array: NDArray[Any]) -> Any:
        """The array there; the same one where it is there already."""
        if self.namespace is host_namespace:
            return array
        if not array.flags.writeable and is_torch_namespace(self.namespace):
            array = array.copy()  # torch has no read-only tensors, and warns of those that it would make writeable
        return self.namespace.asarray(array, device=self.device)


HOST = Backend(host_namespace, "cpu")
"""numpy."""


def open_backend(library: str, device: str = "cpu") -> Backend:
    """The backend of that name, its library imported only now; raises `BackendUnavailable`."""
    if library == "numpy" and device == "cpu":
        return HOST
    if library != "torch":
        raise BackendUnavailable(
            f"no backend {library!r} on {device!r}: numpy computes on cpu, torch on any of its own"
        )
    try:
        torch = import_module("torch")
    except ImportError as error:
        raise BackendUnavailable(f"torch cannot be imported; install the extra driftwarden[torch] ({error})") from error
    try:
        probe = torch.zeros(1, dtype=torch.float64, device=device)
        found = probe.device
        probe.cpu().item()
    except (AssertionError, RuntimeError, TypeError) as error:  # no such device, no driver for it, no float64 on it
        raise BackendUnavailable(f"torch has no device {device!r} here: {str(error).splitlines()[0]}") from error
    return Backend(import_module("array_api_compat.torch"), found)


def backend_of(rows: Any) -> Backend:
    """Where these rows are; the host for a device without float64."""
    if isinstance(rows, np.ndarray) or not is_array_api_obj(rows):
        return HOST
    namespace, device = array_api_compat.array_namespace(rows), array_api_compat.device(rows)
    numbers = namespace.__array_namespace_info__().dtypes(device=device, kind="real floating")
    return Backend(namespace, device) if "float64" in numbers else HOST


def checked_rows(rows: Any, *, features: int | None = None) -> Rows:
    """The rows on the host, every value finite, without a copy where none is needed; raises `InvalidRows`."""
    wide = real_rows(rows, features=features)
    _refuse_not_finite(wide)
    return wide


def real_rows(rows: Any, *, features: int | None = None) -> Rows:
    """The rows on the host, of whatever value, without a copy where none is needed; raises `InvalidRows`."""
    found = on_host(rows)
    if found.ndim != 2:
        raise InvalidRows(f"rows have two dimensions (rows, features), and these have {found.ndim}: {found.shape}")
    if found.shape[1] == 0:
        raise InvalidRows("rows have no features")
    if features is not None and found.shape[1] != features:
        raise InvalidRows(f"rows have {found.shape[1]} features, and the reference has {features}")
    if found.dtype.kind not in "fiu":
        raise InvalidRows(f"rows hold real numbers, not {found.dtype}")
    if (place := inexact_integer(found)) is not None:
        row, column = place
        raise InvalidRows(f"row {row}, column {column} is {found[row, column]}{INEXACT}")
    with np.errstate(over="ignore"):  # only beyond float64, where it becomes an infinity
        wide: Rows = np.ascontiguousarray(found, dtype=np.float64)
    return wide


def inexact_integer(numbers: NDArray[Any]) -> tuple[int, ...] | None:
    """Where the first integer is that float64 would change, or None. Costs nothing but for 64-bit integers."""
    if numbers.dtype.kind not in "iu" or numbers.dtype.itemsize < 8 or not numbers.size:
        return None
    if int(numbers.min()) >= -WHOLE and int(numbers.max()) <= WHOLE:
        return None
    wide = numbers.astype(np.float64)
    beyond = wide >= 2.0 ** (64 if numbers.dtype.kind == "u" else 63)  # rounded up to what no integer of the kind is
    changed = beyond | (np.where(beyond, 0, wide).astype(numbers.dtype) != numbers)
    return tuple(np.argwhere(changed)[0].tolist()) if changed.any() else None


def measurable_rows(rows: Any, *, features: int | None = None) -> Rows:
    """The rows on the host as detectors take them, without a copy where none is needed; raises `InvalidRows`.

    NaN means that a value is missing, and all NaN have the same bits. An infinity is the largest number of its sign: it
    lies beyond everything, and arithmetic with it is still defined.
    """
    wide = real_rows(rows, features=features)
    if np.isfinite(wide).all():
        return wide
    clipped: Rows = np.clip(wide, -_LARGEST, _LARGEST)
    clipped[np.isnan(clipped)] = np.nan
    return clipped


def complete(rows: Rows) -> Rows:
    """The rows without a missing value; the same array where none is missing."""
    missing = np.isnan(rows).any(axis=1)
    return rows[~missing] if missing.any() else rows


def on_host(array: Any) -> NDArray[Any]:
    """Bring any library's array to the host; raises `InvalidRows` where its library cannot."""
    if isinstance(array, np.ma.MaskedArray):
        raise InvalidRows("rows are masked; give NaN for what is missing")
    if isinstance(array, np.ndarray):
        return np.asarray(array)
    if not is_array_api_obj(array):
        raise InvalidRows(f"rows are an array, not a {type(array).__name__}")
    try:
        # Torch has spoken DLPack across devices for less time than it has had these two methods.
        return np.from_dlpack(array.detach().cpu() if is_torch_array(array) else array)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidRows(f"rows cannot be brought to the host: {error}") from error


def frozen(array: NDArray[T]) -> NDArray[T]:
    """The same array, no longer writeable: what a summary or a reference holds is shared between threads."""
    array.flags.writeable = False
    return array


def some_at_a_time(features: int, rows: int) -> Iterator[slice]:
    """The features in parts whose rows fit the cache: temporary arrays beyond it cost more than the arithmetic."""
    step = max(1, _AT_ONCE // max(1, rows))
    return (slice(start, start + step) for start in range(0, features, step))


def is_torch_namespace(namespace: ModuleType) -> bool:
    """Whether it is torch, which has fewer data types and other habits than the standard's other libraries."""
    return bool(array_api_compat.is_torch_namespace(namespace))


def _refuse_not_finite(rows: Rows) -> None:
    finite = np.isfinite(rows)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise InvalidRows(f"row {row}, column {column} is {rows[row, column]}; every value has to be finite")
