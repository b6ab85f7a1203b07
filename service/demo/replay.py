"""An inference pod's side of the conversation: register, send rows, read verdicts."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
from click import ClickException

from service.demo.flights import WINDOW_ROWS, Flights

ROWS_A_REQUEST = 25
_ANSWER_SECONDS = 120.0
_VERDICT_SECONDS = 150.0
Document = dict[str, Any]
"""JSON, as the API gives it."""


class Pod:
    """Talks to the service over HTTP, and to nothing else."""

    def __init__(self, url: str, model: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=_ANSWER_SECONDS, trust_env=False)
        self._model = f"/v1/models/{model}"

    def close(self) -> None:
        self._client.close()

    def register(self, reference: Flights) -> Document:
        """Put the model under watch; returns what the service says of the reference."""
        self._json("PUT", "/reference", {"features": reference.features, "rows": reference.rows})
        return self._json("PUT", "/plan", {"window": {"rows": WINDOW_ROWS}})

    def observe(self, flights: Flights) -> Iterator[int]:
        """Send rows in time order; yields how many each request carried."""
        for first in range(0, len(flights.rows), ROWS_A_REQUEST):
            rows = flights.rows[first : first + ROWS_A_REQUEST]
            body = {"features": flights.features, "rows": rows, "observed_at": flights.times[first]}
            self._json("POST", "/observations", body, {"Idempotency-Key": f"flights-{first}"})
            yield len(rows)

    def verdicts(self) -> list[Document]:
        """All so far, oldest first."""
        page = self._json("GET", "/verdicts?limit=1000")
        return list(reversed(page["verdicts"]))

    def verdicts_as_they_come(self, expected: int) -> Iterator[list[Document]]:
        """All so far, again and again, until there are as many as expected and their actions are delivered."""
        deadline = time.monotonic() + _VERDICT_SECONDS
        while time.monotonic() < deadline:
            verdicts = self.verdicts()
            yield verdicts
            if len(verdicts) >= expected and not any(waits(verdict) for verdict in verdicts):
                return
            time.sleep(0.1)
        raise ClickException(f"only {len(verdicts)} of {expected} windows were judged and acted upon in time")

    def _json(
        self, verb: str, path: str, body: Document | None = None, headers: dict[str, str] | None = None
    ) -> Document:
        answer = self._client.request(verb, self._model + path, json=body, headers=headers)
        if answer.is_error:
            raise ClickException(f"{verb} {path} was answered with {answer.status_code}: {answer.text[:2000]}")
        document: Document = answer.json()
        return document


def waits(verdict: Document) -> bool:
    """Whether its action is still in the outbox."""
    return verdict["action"] is not None and verdict["action"]["outcome"] is None
