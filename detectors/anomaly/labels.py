"""What is said of single rows: a label for each, by the reference alone."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.anomaly.held_out import cut_above, held_out_scores, rank_of
from detectors.anomaly.row_hash import Hashes, RowHash, repeated
from detectors.anomaly.scores import FittedScore, score_of
from detectors.arrays import Rows, complete, frozen, measurable_rows
from detectors.errors import TooFewRows

Values = NDArray[np.float64]
Labels = NDArray[np.int8]
"""Places in `NAMES`."""

NAMES = ("ok", "outlier", "too_typical", "duplicate", "invalid")
OK, OUTLIER, TOO_TYPICAL, DUPLICATE, INVALID = range(len(NAMES))


@dataclass(frozen=True, slots=True, eq=False)
class RowLabels:
    """Of some rows, in their order."""

    labels: Labels
    scores: Values
    """NaN for an invalid row."""
    hashes: Hashes
    """By which equal rows are found."""
    may_repeat: NDArray[np.bool_]
    """Whether an equal one before it makes a row a duplicate."""

    def part(self, first: int, last: int) -> Self:
        """Of the rows from `first` up to `last`."""
        part = slice(first, last)
        return type(self)(self.labels[part], self.scores[part], self.hashes[part], self.may_repeat[part])


@dataclass(frozen=True, slots=True, eq=False)
class Labeller:
    """Fitted on a reference. The same rows have the same labels, in any process and in any company."""

    fitted: FittedScore
    strangest: float
    most_typical: float
    row_hash: RowHash
    known: Hashes
    """Of the reference's rows, ascending."""
    finds_duplicates: bool
    """False where the reference's own rows repeat one another more often than rows may be flagged."""
    finds_incomplete_duplicates: bool
    """The same of rows with a missing value: of few values that are left, more are equal. Not without the others."""

    @classmethod
    def fit(cls, rows: Rows, score: str, outlier_rate: float, typical_rate: float) -> Self:
        """Raises `InvalidRows`, and `TooFewRows` where the reference tells nothing as rare as the rates ask for."""
        measurable = measurable_rows(rows)
        whole = complete(measurable)
        for name, rate in (("outlier_rate", outlier_rate), ("typical_rate", typical_rate)):
            if rate * (len(whole) + 1) < 1:
                least = int(np.ceil(1 / rate)) - 1
                raise TooFewRows(
                    f"{name} asks for one row in {1 / rate:.6g}, and {len(whole)} reference rows without missing "
                    f"values tell one in {len(whole) + 1}: {least} are needed, or a larger rate"
                )
        chosen = score_of(score)
        held_out = held_out_scores(chosen, whole)
        row_hash = RowHash.keyed_by(measurable)
        hashes = np.sort(row_hash(whole))
        missing = np.isnan(measurable)
        with_a_hole = row_hash(measurable[missing.any(axis=1) & ~missing.all(axis=1)])
        finds_duplicates = repeated(hashes) <= outlier_rate * len(whole)
        return cls(
            fitted=chosen.fit(whole),
            strangest=cut_above(held_out, rank_of(outlier_rate, len(whole))),
            most_typical=-cut_above(-held_out, rank_of(typical_rate, len(whole))),
            row_hash=row_hash,
            known=frozen(hashes),
            finds_duplicates=finds_duplicates,
            finds_incomplete_duplicates=finds_duplicates and repeated(with_a_hole) <= outlier_rate * len(with_a_hole),
        )

    def label(self, rows: Rows) -> RowLabels:
        """Of rows as the log holds them; a duplicate is a row of the reference here.

        Invalid is a row without a value, or with one that is not finite. Where a value is missing a row can be strange,
        but not too typical: what is missing counts as the middle.
        """
        missing = np.isnan(rows)
        invalid = np.asarray(np.isinf(rows).any(axis=1) | missing.all(axis=1))
        scored = np.where(invalid[:, np.newaxis], 0.0, rows) if invalid.any() else rows
        scores = self.fitted.score(scored)
        hashes = self.row_hash(rows)
        labels = np.full(len(rows), OK, dtype=np.int8)
        incomplete = missing.any(axis=1)
        labels[(scores < self.most_typical) & ~incomplete] = TOO_TYPICAL
        labels[scores > self.strangest] = OUTLIER
        if self.finds_duplicates:
            labels[self._is_of_the_reference(hashes)] = DUPLICATE
        labels[invalid] = INVALID
        scores[invalid] = np.nan
        may_repeat = np.where(incomplete, self.finds_incomplete_duplicates, self.finds_duplicates) & ~invalid
        return RowLabels(frozen(labels), frozen(scores), frozen(hashes), frozen(may_repeat))

    def _is_of_the_reference(self, hashes: Hashes) -> NDArray[np.bool_]:
        places = np.minimum(np.searchsorted(self.known, hashes), len(self.known) - 1)
        return np.asarray(self.known[places] == hashes)
