"""Which array library the suite runs on, and property tests that say the same on every run, however busy the machine.

`DRIFTWARDEN_ARRAY_LIBRARY=torch` (or `array_api_strict`) runs everything here with references in that library, with
fewer examples each: `pytest tests/conformance/detectors`.
"""

from os import environ

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from detectors.arrays import HOST, Backend, backend_of, open_backend
from detectors.registry import DETECTORS

settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("steady")


def chosen_backend() -> Backend:
    library = environ.get("DRIFTWARDEN_ARRAY_LIBRARY", "numpy")
    if library != "array_api_strict":
        return open_backend(library)
    import array_api_strict as strict  # noqa: PLC0415

    return backend_of(strict.zeros((1, 1), device=strict.Device("device1")))


def pytest_report_header() -> str:
    return f"array library: {environ.get('DRIFTWARDEN_ARRAY_LIBRARY', 'numpy')}"


@pytest.fixture(autouse=True, scope="session")
def references_in_the_chosen_library():
    """Detectors compute where their reference is, so it is enough to put that there."""
    backend = chosen_backend()
    with pytest.MonkeyPatch.context() as patch:
        for detector in DETECTORS if backend != HOST else ():
            patch.setattr(detector, "fit", _fitting(detector.fit, backend))
        yield


def _fitting(fit, backend):
    def there(self, rows):
        numbers = isinstance(rows, np.ndarray) and rows.dtype == np.float64
        return fit(self, backend.put(rows) if numbers else rows)

    return there
