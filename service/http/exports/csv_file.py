"""Comma-separated values with the columns' names in the first line; says nothing else of itself."""

import csv
import io
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from service.http.exports.table import Heading, Words, label_names, worded
from service.usecases.export_rows import ExportedRows

MEDIA_TYPE = "text/csv"


class CsvWriter:
    """A `TableWriter`. Numbers are written so that they are read to the same bits; missing ones are empty."""

    def __init__(self, heading: Heading) -> None:
        self._words = heading.words
        self._text = io.StringIO(newline="")
        self._lines = csv.writer(self._text, lineterminator="\n")
        names = [*heading.features, heading.event_time, heading.batch, heading.verdict]
        self._lines.writerow(names if heading.label is None else [*names, heading.label])

    def write(self, pieces: Sequence[ExportedRows]) -> bytes:
        for piece in pieces:
            self._lines.writerows(_lines(piece, self._words))
        return self._taken()

    def end(self) -> bytes:
        return self._taken()

    def _taken(self) -> bytes:
        text = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return text.encode()


def _lines(piece: ExportedRows, words: Words) -> Iterator[list[object]]:
    rows: NDArray[np.object_] = piece.of.rows.astype(object)
    rows[np.isnan(piece.of.rows)] = None
    for place, known in words.items():
        rows[:, place] = worded(piece.of.rows[:, place], known)
    moments = np.datetime_as_string(piece.of.times.astype("datetime64[ms]"), unit="ms", timezone="UTC")
    if piece.labels is None:
        for row, moment in zip(rows.tolist(), moments.tolist(), strict=True):
            yield [*row, moment, piece.of.identifier, piece.verdict]
        return
    for row, moment, label in zip(rows.tolist(), moments.tolist(), label_names(piece.labels), strict=True):
        yield [*row, moment, piece.of.identifier, piece.verdict, label]
