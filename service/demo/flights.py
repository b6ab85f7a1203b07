"""The data of the demonstration: real flights, a real week that was not like the others (see data/README.md)."""

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

MODEL = "laguardia-departures"
WINDOW_ROWS = 300
"""About a day of departures."""

REPLAY_FROM = datetime(2013, 4, 1, 4, tzinfo=UTC)
"""Midnight in New York: January to March is the reference, April and May are replayed."""
FURLOUGHS = (datetime(2013, 4, 21, 4, tzinfo=UTC), datetime(2013, 4, 28, 4, tzinfo=UTC))
"""21 to 27 April 2013, local days: air traffic controllers were on furlough."""


@dataclass(frozen=True, slots=True)
class Flights:
    """Departures in time order."""

    features: Sequence[str]
    times: Sequence[str]
    """ISO 8601, UTC."""
    rows: Sequence[Sequence[float]]


def load() -> tuple[Flights, Flights]:
    """The reference and what came after it."""
    path = files("service.demo").joinpath("data", "laguardia_departures_2013.csv.gz")
    with path.open("rb") as compressed, gzip.open(compressed, "rt", newline="") as lines:
        table = csv.reader(lines)
        features = next(table)[1:]
        flights = [(line[0], [float(value) for value in line[1:]]) for line in table]
    boundary = next(index for index, flight in enumerate(flights) if _time(flight[0]) >= REPLAY_FROM)
    return _flights(features, flights[:boundary]), _flights(features, flights[boundary:])


def _flights(features: Sequence[str], flights: Sequence[tuple[str, Sequence[float]]]) -> Flights:
    return Flights(features, [time for time, _ in flights], [row for _, row in flights])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
