"""Files made to be taken for something else, or to cost more than they are worth."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from service.domain.integrity.contents.content import Content
from service.domain.integrity.contents.look import look
from service.domain.integrity.contents.source import MAXIMUM_READ, Budget, Held
from service.domain.integrity.contents.unpacking import beginning
from tests.unit.service.domain.integrity.contents.corpus import (
    CODE,
    DATA,
    MAY,
    TENSORS,
    Counted,
    array,
    hdf5,
    onnx,
    pickled,
    seen,
    tarred,
    tensors,
    zipped,
)

FILES = {**CODE, **MAY, **DATA}
EVIL = zipped({"m/data.pkl": pickled()})


@pytest.mark.parametrize(
    "before", [TENSORS, b"# text\n" * 99, array([1.5]), b"\x89PNG\r\n\x1a\n", onnx(), bytes(9), hdf5()]
)
def test_a_zip_archive_is_one_whatever_stands_before_it(before: bytes) -> None:
    assert seen(before + EVIL, "model.safetensors").content is Content.CODE


def parts(archive: bytes) -> tuple[bytes, bytes, bytes]:
    """Files, directory, and the record at the end."""
    directory, end = archive.index(b"PK\1\2"), archive.index(b"PK\5\6")
    return archive[:directory], archive[directory:end], archive[end:]


def test_both_archives_count_where_readers_differ_which_one_it_is() -> None:
    """The directory is where the record at the end says, or where its size says."""
    files, directory, end = parts(zipped({"a.csv": b"1,2\n"}))
    evil_files, evil_directory, _ = parts(EVIL)
    moved, said = bytearray(evil_directory), bytearray(end)
    struct.pack_into("<I", moved, 42, len(files))
    struct.pack_into("<I", said, 16, len(files + evil_files))
    assert seen(files + evil_files + moved + directory + said, "a.zip").content is Content.CODE
    assert seen(EVIL + files + directory + end, "a.zip").content is Content.CODE
    assert seen(files + directory + end + EVIL, "a.zip").content is Content.CODE


def test_a_record_that_leads_nowhere_hides_no_archive() -> None:
    assert seen(EVIL + b"PK\5\6" + bytes(18), "a.zip").content is Content.CODE


def test_what_is_encrypted_is_not_called_harmless() -> None:
    archive = bytearray(zipped({"a.csv": b"1,2\n"}))
    archive[archive.index(b"PK\1\2") + 8] |= 1
    assert seen(bytes(archive)).form == "zip: a.csv, which cannot be looked at"


def test_what_is_unpacked_stays_within_the_budget_also_of_an_array() -> None:
    packed = Held(zlib.compress(b"\x93NUMPY" + bytes(2**24)))
    for left in (0, 100, 2**16):
        text, whole = beginning(zlib.decompressobj(), packed, Budget(unpacked=left), 2**20)
        assert len(text) <= max(1, left)
        assert not whole


def test_the_directory_of_a_large_archive_counts_wherever_its_locator_finds_it() -> None:
    files, directory, _ = parts(EVIL)
    end = parts(zipped({"a.csv": b"1,2\n"}))[2]
    there = len(files + directory)
    for padding, said in ((b"", there), (bytes(99), there), (b"", 0)):
        far = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(directory), len(files)) + padding
        locator = struct.pack("<4sIQI", b"PK\6\7", 0, said, 1)
        assert seen(files + directory + far + locator + end).content is Content.CODE


def test_a_folder_in_an_archive_is_nothing_and_what_is_called_one_is_not() -> None:
    assert seen(zipped({"a/": b"", "a/b.csv": b"1"})).form == "zip of data"
    assert seen(zipped({"a/": pickled()})).content is Content.CODE


def test_a_comment_hides_no_archive() -> None:
    hidden = bytearray(EVIL)
    struct.pack_into("<H", hidden, len(EVIL) - 2, 2**16 - 1)
    assert seen(bytes(hidden) + b"\0" * (2**16 - 1)).content is Content.CODE
    assert seen(EVIL + b"rubbish").content is Content.CODE


@pytest.mark.parametrize(
    "text",
    [
        tensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}),
        tensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(5)),
        tensors({"a": {"data_offsets": [4, 8]}}, bytes(8)),
        tensors({"a": {"data_offsets": [0, 8]}, "b": {"data_offsets": [4, 8]}}, bytes(8)),
        tensors({"a": {"data_offsets": ["0", None]}}),
        tensors({"a": 1}),
        tensors(b"{" + b"[" * 100_000),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**40) + b"{}",
    ],
)
def test_a_safetensors_header_that_lies_is_not_believed(text: bytes) -> None:
    assert seen(text, "model.safetensors").content is Content.UNKNOWN


def test_a_bomb_is_unpacked_to_a_bound() -> None:
    bomb = zlib.compress(bytes(2**24), 9)
    for text in (
        bomb,
        gzip.compress(gzip.compress(bytes(2**24), 9)),
        zipped({"a": bytes(2**24)}, zipfile.ZIP_DEFLATED),
    ):
        assert seen(text).content in {Content.UNKNOWN, Content.MAY}
    many = zipped({str(number): bytes(2**20) for number in range(40)}, zipfile.ZIP_DEFLATED)
    assert seen(many).form.endswith("more than is looked at")


def test_entries_that_are_not_where_the_archive_says_are_not_called_harmless() -> None:
    name, count = b"n", 1000
    entry = b"PK\1\2" + bytes(24) + struct.pack("<H", len(name)) + bytes(16) + name
    end = b"PK\5\6" + bytes(8) + struct.pack("<IIH", len(entry) * count, 0, 0)
    assert seen(entry * count + end).content is Content.MAY


def test_a_file_is_read_within_a_bound_however_large_it_is() -> None:
    for text in FILES.values():
        file = Counted(text, size=2**50)
        look(file, "model.bin")
        assert file.read_bytes <= MAXIMUM_READ


def test_a_pickle_of_text_that_goes_on_for_long_is_not_called_harmless() -> None:
    text = b"N0" * 2**19 + b"cos\nsystem\n(S'id'\ntR."
    assert seen(text, "notes.txt").content is Content.MAY
    assert seen(b"V" + b"a" * 2**21 + b"\n0cos\nsystem\n(S'id'\ntR.", "notes.txt").content is Content.MAY
    assert seen(b"V" + b"a" * 2**17 + b"\n0cos\nsystem\n(S'id'\ntR.", "notes.txt").content is Content.CODE


@pytest.mark.parametrize(
    "evil", [b"cos\nsystem\n(S'id'\ntR.", b"(S'id'\nios\nsystem\n.", b"(cos\nsystem\nS'id'\no.", b"cevil\nx\n."]
)
def test_every_way_of_an_old_pickle_to_run_something_is_seen(evil: bytes) -> None:
    assert seen(evil, "vocab.txt").content is Content.CODE
    assert seen(b"I1\n0" + evil, "vocab.txt").content is Content.CODE


@pytest.mark.parametrize(
    "text",
    [
        "cos\xff\nsystem\n(tR.",
        "cos\nsystem\n",
        "cos\nsystem\nR.",
        "(cos\nsystem\nt",
        "(S'id'\ntR.",
        "ios\nsystem\n.",
        "I1\n.",
    ],
)
def test_text_that_would_run_nothing_is_text(text: str) -> None:
    assert seen(text.encode("latin-1"), "vocab.txt").form == "text"


@given(st.binary(max_size=400), st.sampled_from(["a", "a.safetensors", "a.onnx", "a.npy", "a.zip"]))
def test_whatever_is_in_a_file_there_is_an_answer(text: bytes, name: str) -> None:
    assert seen(text, name).content in Content


@settings(max_examples=300)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_a_file_that_is_cut_or_changed_gets_an_answer_within_the_bound(name: str, data: st.DataObject) -> None:
    text = bytearray(FILES[name])
    if text:
        for at in data.draw(st.lists(st.integers(0, len(text) - 1), max_size=4)):
            text[at] = data.draw(st.integers(0, 255))
    file = Counted(bytes(text[: data.draw(st.integers(0, len(text)))]))
    look(file, name)
    assert file.read_bytes <= MAXIMUM_READ


@given(st.binary(min_size=600, max_size=600))
def test_numbers_are_no_code(text: bytes) -> None:
    found = seen(b"\0" + text, "weights.bin")
    assert found.content in {Content.UNKNOWN, Content.DATA}, found.form


def test_a_tar_archive_that_says_a_length_twice_is_not_called_harmless() -> None:
    archive = tarred({"a" * 150: b"1,2\n"})
    assert seen(archive).content is Content.DATA
    record = bytearray(archive)
    at = record.index(b" path=")
    record[at : at + 6] = b" size="
    assert seen(bytes(record)).content is Content.MAY


@pytest.mark.parametrize("spelling", ["{:06o}\0x", "0o{:05o}\0", "+{:05o}\0 ", "\0{:06o}\0"])
def test_a_tar_archive_is_one_however_its_checksum_is_spelt(spelling: str) -> None:
    archive = bytearray(tarred({"a.py": b"pass"}))
    counted = sum(archive[:148]) + 8 * ord(" ") + sum(archive[156:512])
    archive[148:156] = spelling.format(counted).encode()
    assert seen(bytes(archive), "model.tar").content is Content.CODE


def test_fields_of_a_zip_entry_that_say_nothing_are_steps() -> None:
    files, _, _ = parts(zipped({"a.csv": b"1,2\n"}))
    nothing = bytes(4 * 16_000)
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 4, 2**32 - 1, 1, len(nothing), 0, 0, 0, 0, 0)
    directory = (entry + b"a" + nothing) * 8
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 8, 8, len(directory), len(files), 0)
    found = seen(files + directory + end, "a.zip")
    assert found.content is Content.MAY
    assert found.form.endswith("than is looked at")


def test_a_sparse_entry_of_a_tar_archive_is_not_called_harmless() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("a.csv")
        entry.size, entry.type = 4, tarfile.GNUTYPE_SPARSE
        archive.addfile(entry, io.BytesIO(b"1,2\n"))
    assert seen(made.getvalue()).content is Content.MAY
