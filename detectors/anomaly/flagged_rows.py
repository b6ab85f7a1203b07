"""How many rows of a window are beyond a cut that the reference's own rows are beyond at a known rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.anomaly.held_out import at_least, cut_above, held_out_scores, rank_of
from detectors.anomaly.scores import FittedScore, Score
from detectors.arrays import Rows, complete, frozen, measurable_rows
from detectors.errors import InvalidDocument
from detectors.identity import refuse_other
from detectors.results import DriftResult, Measurement, Scope

Values = NDArray[np.float64]

_MOST_ROWS = 2**48


@dataclass(frozen=True, slots=True, eq=False)
class ScoredReference:
    """A score fitted on all complete rows, and what each of them has by one that was fitted without it."""

    digest: str
    count: int
    features: int
    fitted: FittedScore
    sign: float
    """Of scores: 1 where large ones are flagged, -1 where small ones are."""
    held_out: Values
    """Shape (rows,): signed scores; NaN for a row with a missing value."""
    rate: float
    scored: int
    """Rows that have a score."""
    cut: float
    """Signed scores beyond it are flagged."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows counted."""

    reference_digest: str
    count: int
    missing: int
    """Rows with a missing value, which are not scored."""
    flagged: int

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {name: np.array(getattr(self, name), dtype=np.int64) for name in ("count", "flagged", "missing")}

    def __add__(self, other: Self, /) -> Self:
        refuse_other(self.reference_digest, other)
        return type(self)(
            self.reference_digest,
            self.count + other.count,
            self.missing + other.missing,
            self.flagged + other.flagged,
        )


def work_of_fitting(rows: int, features: int) -> int:
    """See `detectors.protocols.WorksHarder`: six fits, each with a matrix of the features, and every row's score."""
    return rows * features * (64 + features // 10)


def fit(digest: str, score: Score, rows: Rows, sign: float, rate: float) -> ScoredReference:
    """Raises `TooFewRows`."""
    measured = ~np.isnan(rows).any(axis=1)
    whole = rows[measured]
    held_out = np.full(len(rows), np.nan)
    held_out[measured] = sign * held_out_scores(score, whole)
    scores = held_out[~np.isnan(held_out)]
    return ScoredReference(
        digest=digest,
        count=len(rows),
        features=rows.shape[1],
        fitted=score.fit(whole),
        sign=sign,
        held_out=frozen(held_out),
        rate=rate,
        scored=len(scores),
        cut=cut_above(scores, rank_of(rate, len(scores))),
    )


def tally(reference: ScoredReference, rows: Any) -> Tally:
    """Raises `InvalidRows`."""
    measurable = measurable_rows(rows, features=reference.features)
    whole = complete(measurable)
    flagged = int((reference.sign * reference.fitted.score(whole) > reference.cut).sum())
    return Tally(reference.digest, len(measurable), len(measurable) - len(whole), flagged)


def restored(reference: ScoredReference, arrays: Mapping[str, NDArray[Any]]) -> Tally:
    """Raises `InvalidDocument`."""
    if arrays.keys() != {"count", "flagged", "missing"}:
        raise InvalidDocument(f"a tally of rows holds count, flagged and missing, not {sorted(arrays)}")
    if any(array.dtype != np.int64 or array.shape != () for array in arrays.values()):
        raise InvalidDocument("a tally of rows holds single 64-bit integers")
    count, missing, flagged = (int(arrays[name]) for name in ("count", "missing", "flagged"))
    if not (0 <= missing <= count <= _MOST_ROWS and 0 <= flagged <= count - missing):
        raise InvalidDocument("a tally of rows counts more than there is")
    return Tally(reference.digest, count, missing, flagged)


def measure(reference: ScoredReference, summary: Tally) -> Measurement:
    """Statistic: the share of the rows that are beyond the cut. Effect: by how much that is more than ordinary."""
    refuse_other(reference.digest, summary)
    return _measured(summary.flagged, summary.count - summary.missing, _expected(reference))


def measure_held_out(reference: ScoredReference, held: slice) -> Measurement:
    """Of reference rows by the scores that they have already, against the cut that the other rows make."""
    own = reference.held_out[held]
    others = np.concatenate([reference.held_out[: held.start], reference.held_out[held.stop :]])
    own, others = own[~np.isnan(own)], others[~np.isnan(others)]
    if not len(others):
        return _measured(0, 0, 0.0)
    rank = rank_of(reference.rate, len(others))
    return _measured(int((own > cut_above(others, rank)).sum()), len(own), rank / (len(others) + 1))


def test(detector: Any, reference: ScoredReference, summary: Tally) -> DriftResult:
    """How surprising so many are, of rows that do not depend on one another."""
    measured = measure(reference, summary)
    rows = summary.count - summary.missing
    p_value = np.nan
    if rows:
        p_value = at_least(summary.flagged, rows, _rank(reference), reference.scored)
    return DriftResult(
        detector=detector.name,
        scope=Scope.JOINT,
        statistic=measured.statistic,
        p_value=np.array([p_value]),
        effect=measured.effect,
        missing=np.array([summary.missing]),
        reference_count=reference.scored,
        window_count=summary.count,
        method="exchangeability",
        seed=None,
    )


def _rank(reference: ScoredReference) -> int:
    return rank_of(reference.rate, reference.scored)


def _expected(reference: ScoredReference) -> float:
    return _rank(reference) / (reference.scored + 1)


def _measured(flagged: int, rows: int, expected: float) -> Measurement:
    if not rows:
        return Measurement(np.array([np.nan]), np.array([np.nan]))
    share = flagged / rows
    return Measurement(np.array([share]), np.array([max(0.0, share - expected)]))
