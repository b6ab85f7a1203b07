"""Going through tiles, in any size and any array library, against the whole kernel."""

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.arrays import HOST, Backend, backend_of
from detectors.kernel import tiles
from detectors.kernel.gaussian import kernel, kernel_within
from detectors.kernel.tiles import Ladder, Pool, mean_kernel, scan


@given(st.integers(1, 12), st.integers(0, 12), st.integers(1, 5), st.booleans(), st.integers(0, 2**32))
def test_a_scan_sums_the_whole_kernel(n, m, tile_rows, keep, seed):
    generator = np.random.default_rng(seed)
    first, second = generator.normal(size=(n, 2)), generator.normal(size=(m, 2))
    labels = generator.integers(0, 2, size=(3, n + m), dtype=np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "TILE_ROWS", tile_rows)
        known = Pool.of(HOST, first).known().tiles if keep else ()
        pool = Pool.of(HOST, first, second, known)
        found = scan(pool, Ladder(2, squares=True), labels=labels)
        window_only = scan(pool, Ladder(), sums_from=pool.split).sums
    matrix = kernel_within(np.concatenate([first, second]))
    for level in range(4):
        power = matrix ** (2**level)
        np.testing.assert_allclose(found.sums[level, 0], power[:, :n].sum(axis=1), atol=1e-13)
        np.testing.assert_allclose(found.sums[level, 1], power[:, n:].sum(axis=1), atol=1e-13)
        if level % 2 == 0:
            forms = np.einsum("pi,ij,pj->p", labels, power, labels)
            np.testing.assert_allclose(found.forms[level // 2], forms, atol=1e-12)
    assert (window_only[0, 0, :n] == 0).all()
    np.testing.assert_allclose(window_only[0, 0, n:], matrix[n:, :n].sum(axis=1), atol=1e-13)
    np.testing.assert_allclose(window_only[0, 1], matrix[:, n:].sum(axis=1), atol=1e-13)


def test_tiles_that_are_kept_cannot_be_changed():
    for column in Pool.of(HOST, np.random.default_rng(0).normal(size=(9, 2))).known().tiles:
        for tile in column:
            assert not tile.flags.writeable


def test_tiles_are_no_larger_than_they_may_be():
    pool = Pool.of(HOST, np.zeros((1025, 1)), np.zeros((3, 1)))
    sizes = [band.stop - band.start for band in pool.bands]
    assert sum(sizes) == 1028
    assert max(sizes) <= tiles.TILE_ROWS
    assert pool.split == 3
    assert sizes[3:] == [3]


@pytest.mark.parametrize("device", [strict.Device("CPU_DEVICE"), strict.Device("device1")], ids=str)
def test_any_library_and_device_will_do(device, monkeypatch):
    monkeypatch.setattr(tiles, "TILE_ROWS", 7)
    monkeypatch.setattr(tiles, "TILE_ROWS_ELSEWHERE", 7)
    generator = np.random.default_rng(1)
    first, second = generator.normal(size=(20, 2)), generator.normal(size=(11, 2))
    labels = generator.integers(0, 2, size=(3, 31), dtype=np.uint8)
    there = backend_of(strict.asarray(first, device=device))
    assert isinstance(there, Backend)
    found = scan(Pool.of(there, first, second), Ladder(2), labels=labels)
    expected = scan(Pool.of(HOST, first, second), Ladder(2), labels=labels)
    np.testing.assert_allclose(found.sums, expected.sums, rtol=1e-13)
    np.testing.assert_allclose(found.forms, expected.forms, rtol=1e-13)
    np.testing.assert_allclose(mean_kernel(there, first, second), kernel(first, second).mean(axis=1), rtol=1e-13)


def test_the_mean_kernel_does_not_depend_on_the_tiles(monkeypatch):
    generator = np.random.default_rng(2)
    points, rows = generator.normal(size=(20, 2)), generator.normal(size=(11, 2))
    whole = mean_kernel(HOST, points, rows)
    monkeypatch.setattr(tiles, "TILE_ROWS", 3)
    np.testing.assert_allclose(mean_kernel(HOST, points, rows), whole, rtol=1e-13)
    assert mean_kernel(HOST, points[:0], rows).shape == (0,)
