"""The rows that golden files were made of, and the way to make a file that is not there yet.

`python -m tests.conformance.detectors.golden.rows` writes the missing ones, and never overwrites one. Where a detector
writes its summaries otherwise than it did, the new ones go to a folder beside: `golden.rows FOLDER` writes those whose
bytes are not there yet.
"""

import sys
from pathlib import Path

import numpy as np

from detectors.documents import summary_bytes
from tests.conformance.detectors.strategies import OF_TWO_CATEGORIES, VARIANTS, detector_of, label

SUMMARIES = Path(__file__).parent / "summaries"


def golden_rows(variant):
    """Reference and window of two features, some values missing, such that any machine makes the same bits of them."""
    i, j, f = np.arange(60)[:, np.newaxis], np.arange(40)[:, np.newaxis], np.arange(2)
    categories = 2 if variant[0] in OF_TWO_CATEGORIES else 17
    reference = ((7 * i * i + 3 * i * (f + 1)) % categories) / 4.0
    window = ((5 * j * j + j + 2 * f) % (categories if categories == 2 else categories + 4)) / 4.0
    window[3, 1] = window[5, 0] = np.nan
    return reference, window


def main():
    folder = SUMMARIES / "".join(sys.argv[1:2])
    folder.mkdir(parents=True, exist_ok=True)
    for variant in VARIANTS:
        name = f"{label(variant)}.dwd"
        detector = detector_of(variant)
        reference, window = golden_rows(variant)
        blob = summary_bytes(detector, detector.summarise(detector.fit(reference), window))
        known = [path.read_bytes() for path in SUMMARIES.rglob(name)]
        if not (folder / name).exists() and blob not in known:
            (folder / name).write_bytes(blob)
            print("written", name)


if __name__ == "__main__":
    main()
