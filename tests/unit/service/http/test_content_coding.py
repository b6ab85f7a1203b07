"""Compressed bodies: undone to the last byte, and never further than they may be."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import UnreadableBody, UnsupportedFormat
from service.http.errors import BodyTooLarge
from service.http.formats.content_coding import coding_of, declared_coding, most_unpacked, unpacked

MOST = 4 * 2**20
PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
CODINGS = pytest.mark.parametrize("coding", sorted(PACK))


@given(st.binary(max_size=300_000), st.sampled_from(sorted(PACK)))
def test_what_was_packed_is_there_again(body: bytes, coding: str) -> None:
    packed = PACK[coding](body)
    assert coding_of(coding, packed) == coding_of(None, packed) == coding
    if body[:2] == b"\x1f\x8b" or body[:4] == b"\x28\xb5\x2f\xfd":
        return
    assert unpacked(coding, packed, MOST) == body


@CODINGS
def test_a_bomb_is_given_up_before_it_is_in_memory(coding: str) -> None:
    bomb = PACK[coding](bytes(64 * 2**20))
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            unpacked(coding, bomb, MOST)
        assert tracemalloc.get_traced_memory()[1] < 3 * MOST
    finally:
        tracemalloc.stop()


@CODINGS
def test_a_ratio_that_no_table_has_is_too_large_whatever_the_limit(coding: str) -> None:
    packed = PACK[coding](bytes(64 * 2**20))
    assert most_unpacked(len(packed), 2**40) < 64 * 2**20
    with pytest.raises(BodyTooLarge):
        unpacked(coding, packed, 2**40)


@CODINGS
def test_what_does_not_shrink_is_unpacked_in_one_pass(coding: str) -> None:
    body = np.random.default_rng(1).bytes(16 * 2**20)
    assert unpacked(coding, PACK[coding](body), 32 * 2**20) == body


@CODINGS
def test_exactly_the_limit_is_allowed_and_one_byte_more_is_not(coding: str) -> None:
    assert len(unpacked(coding, PACK[coding](b"x" * 100_000), 100_000)) == 100_000
    with pytest.raises(BodyTooLarge):
        unpacked(coding, PACK[coding](b"x" * 100_001), 100_000)


@CODINGS
def test_what_is_cut_off_damaged_or_goes_on_cannot_be_read(coding: str) -> None:
    packed = PACK[coding](b'{"rows": [[1, 2, 3]]}' * 100)
    broken = [packed[:length] for length in range(len(packed))]
    broken += [packed + b"\0", packed + packed, PACK[coding](packed), PACK["gzip"](packed), b'{"rows": [[1]]}']
    for body in broken:
        with pytest.raises(UnreadableBody):
            unpacked(coding, body, MOST)


def test_a_frame_that_asks_for_a_large_window_cannot_be_read() -> None:
    wide = zstd.compress(b"x" * 100, options={zstd.CompressionParameter.window_log: 27})
    no_size = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    streamed = no_size.compress(b"x" * 100) + no_size.flush()
    assert unpacked("zstd", wide, MOST) == b"x" * 100  # its content says how small it is
    with pytest.raises(UnreadableBody):
        unpacked("zstd", streamed, MOST)


@given(st.binary(max_size=200), st.sampled_from(sorted(PACK)))
def test_arbitrary_bytes_are_unpacked_or_refused_and_nothing_else(body: bytes, coding: str) -> None:
    for start in (b"", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd"):
        try:
            assert len(unpacked(coding, start + body, MOST)) <= MOST
        except (UnreadableBody, BodyTooLarge):
            continue


@pytest.mark.parametrize("told", [None, "", "identity", " Identity "])
def test_no_coding_is_none(told: str | None) -> None:
    assert declared_coding(told) is None
    assert coding_of(told, b'{"rows": [[1]]}') is None


@pytest.mark.parametrize("told", ["br", "deflate", "compress", "gzip, gzip", "gzip,zstd", "unheard-of", "gzip;q=1"])
def test_other_codings_are_refused_by_name_of_the_header(told: str) -> None:
    with pytest.raises(UnsupportedFormat) as raised:
        declared_coding(told)
    assert [fault.place for fault in raised.value.faults] == ["Content-Encoding"]


def test_a_zlib_stream_is_no_gzip() -> None:
    with pytest.raises(UnreadableBody):
        unpacked("gzip", zlib.compress(b"x"), MOST)
