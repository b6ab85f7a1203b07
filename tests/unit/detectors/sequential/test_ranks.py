import numpy as np
import pytest

from detectors.errors import InvalidDocument
from detectors.sequential.ranks import RankTable

ROWS = np.array([[1.0, np.nan, 5.0], [2.0, np.nan, 5.0], [2.0, np.nan, np.nan], [-0.0, np.nan, 5.0]])


def test_cells_alternate_between_gaps_and_values():
    table = RankTable.of(ROWS)
    probes = np.array([-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, np.nan])
    cells = table.cells(np.stack([probes, probes, probes], axis=1))
    assert cells.tolist() == [[0, 1, 2, 3, 4, 5, 6, -1], [0] * 7 + [-1], [0] * 7 + [-1]]
    assert table.counts.tolist() == [4, 0, 3]
    assert table.below.tolist() == [0, 1, 2, 4, 0, 0, 3]
    assert table.below_of(slice(None)).ravel().tolist() == [0, 4, 5]
    assert table.below_of(slice(1, 3)).ravel().tolist() == [4, 5]


def test_cells_that_the_reference_does_not_have_are_refused():
    table = RankTable.of(ROWS)
    table.refuse_other_cells("recent", np.array([[6], [0], [2]]))
    for cells in ([[7], [0], [2]], [[0], [1], [0]], [[-2], [0], [0]]):
        with pytest.raises(InvalidDocument):
            table.refuse_other_cells("recent", np.array(cells))
