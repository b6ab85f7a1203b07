"""Watches the embedded store: one that ends by itself is started again, with back-off, or the process ends too."""

import logging
from collections.abc import Callable

import anyio
from anyio import to_thread

from service.adapters.embedded_store import EmbeddedStore
from service.domain.errors import InvalidConfiguration, StoreLost

_PERIOD_SECONDS = 0.5
_FIRST_WAIT_SECONDS = 0.25
_ATTEMPTS = 5
"""In a row; the waits before them double, so that the last one is some eight seconds after the end."""
_CALM_SECONDS = 60.0
"""A server that ran this long is no failed attempt."""
_log = logging.getLogger(__name__)


class EmbeddedStoreWatch:
    """One a process. A server that is slow or stopped is left alone: only one that is gone is started again."""

    def __init__(self, store: EmbeddedStore, restarted: Callable[[], None], monotonic: Callable[[], float]) -> None:
        self._store = store
        self._restarted = restarted
        self._monotonic = monotonic
        self._started_at = monotonic()
        self._attempts = 0
        self._stopping = False

    def stop_begins(self) -> None:
        """From now on nothing is started again."""
        self._stopping = True

    async def run(self) -> None:
        """Until cancelled, or the process stops. Raises `StoreLost`."""
        while True:
            await anyio.sleep(_PERIOD_SECONDS)
            if not self._store.is_gone():
                continue
            if self._monotonic() - self._started_at > _CALM_SECONDS:
                self._attempts = 0
            # Whoever ends the service may end the server with it, and a little earlier: wait before anything is said.
            await self._back_off(None)
            if self._stopping:
                _log.info("the embedded store ended while the service stops, and is not started again")
                return
            _log.error("the embedded store ended by itself and is started again")
            await self._start_again()

    async def _start_again(self) -> None:
        while not self._stopping:
            try:
                # Not abandoned when the service stops meanwhile: what has been started must be stopped.
                await to_thread.run_sync(self._store.start)
            except InvalidConfiguration as error:
                await self._back_off(error)
            else:
                self._started_at = self._monotonic()
                self._restarted()
                _log.info("the embedded store runs again")
                return

    async def _back_off(self, problem: InvalidConfiguration | None) -> None:
        if self._attempts == _ATTEMPTS:
            reason = str(problem) if problem is not None else "it does not stay up"
            raise StoreLost(f"the embedded store ended and {_ATTEMPTS} attempts to start it again failed: {reason}")
        await anyio.sleep(_FIRST_WAIT_SECONDS * 2**self._attempts)
        self._attempts += 1
