"""What the application is asked: `python traffic.py calm URL`, or `shifted`; and `reference`, which is printed."""

import json
import sys
from urllib.request import ProxyHandler, Request, build_opener

from data import FEATURES, LEARNT, measurements

TOGETHER = 4
"""Rows a request."""


def main() -> None:
    """One of the three."""
    rows, _ = measurements()
    match sys.argv[1:]:
        case ["reference"]:
            print(",".join(FEATURES), *(",".join(map(str, row)) for row in rows[:LEARNT]), sep="\n")
        case ["calm" | "shifted" as kind, url]:
            asked = rows[LEARNT:].copy()
            if kind == "shifted":
                asked[:, 0] *= 1.5  # whoever measures the radius has a new instrument
            direct = build_opener(ProxyHandler({}))
            for first in range(0, len(asked), TOGETHER):
                body = json.dumps({"instances": asked[first : first + TOGETHER].tolist()}).encode()
                direct.open(Request(url, body, {"Content-Type": "application/json"}), timeout=30).close()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
