"""`TabularDrift` of alibi-detect."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.alibi.each_feature import EachFeature, SortedColumns
from detectors.alibi.engine import Values
from detectors.alibi.parameters import ALTERNATIVES, probability
from detectors.alibi.reference import AlibiReference
from detectors.arrays import Rows
from detectors.errors import InvalidParameter, InvalidRows
from detectors.parameters import one_of


@dataclass(frozen=True, slots=True)
class AlibiTabularDrift(EachFeature):
    """`TabularDrift`: Kolmogorov-Smirnov for numbers, chi-square for categories; theirs are float32 numbers.

    Statistic: D, or chi-square. Effect: D, or Cramér's V (the root of chi-square over all rows).
    """

    name: ClassVar[str] = "alibi_tabular_drift"

    p_val: float = 0.05
    """See `AlibiKSDrift.p_val`."""
    categories: str = ""
    """Columns that hold categories, e.g. `0,3`: theirs is `categories_per_feature`, which is no JSON value."""
    alternative: str = "two-sided"
    """Of the Kolmogorov-Smirnov test."""

    def __post_init__(self) -> None:
        probability("p_val", self.p_val)
        one_of("alternative", self.alternative, ALTERNATIVES)
        _columns_in(self.categories)

    def _refuse_features(self, features: int) -> None:
        beyond = [column for column in _columns_in(self.categories) if column >= features]
        if beyond:
            raise InvalidRows(f"rows have {features} features, and categories name column {beyond[0]}")

    def _engine(self, alibi: Any, reference: Rows, columns: NDArray[np.intp]) -> Any:
        wanted = _columns_in(self.categories)
        categories = {place: None for place, column in enumerate(columns.tolist()) if column in wanted}
        return alibi.TabularDrift(
            reference, p_val=self.p_val, categories_per_feature=categories or None, alternative=self.alternative
        )

    def _effect(self, statistic: Values, reference: AlibiReference, summary: SortedColumns) -> Values:
        effect, columns = statistic.copy(), list(_columns_in(self.categories))
        counted = (~np.isnan(reference.rows.T[columns])).sum(axis=1) + (~np.isnan(summary.values[columns])).sum(axis=1)
        effect[columns] = np.sqrt(statistic[columns] / np.maximum(counted, 1))
        return effect


def _columns_in(categories: object) -> tuple[int, ...]:
    """The columns that a string lists; raises `InvalidParameter`."""
    if categories == "":
        return ()
    if isinstance(categories, str):
        words = categories.split(",")
        if all(word.isascii() and word.isdigit() and len(word) <= 6 for word in words):
            columns = tuple(map(int, words))
            if len(set(columns)) == len(columns):
                return columns
    raise InvalidParameter("categories", "categories are different column numbers like 0,3")
