"""A tree is read as it is on the disk, and nothing outside it."""

import hashlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from service.adapters.artifacts import file_tree
from service.adapters.artifacts.file_tree import FileTree
from service.adapters.artifacts.page_cache import PageCache
from service.domain.errors import ArtifactUnreadable
from service.domain.integrity.tree import Found, Sort


@pytest.fixture
def model(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    (root / "sub" / "deeper").mkdir(parents=True)
    (root / "weights").write_bytes(b"x" * (2**21 + 7))
    (root / ".hidden").write_bytes(b"")
    (root / "sub" / "deeper" / "config").write_bytes(b"{}")
    return root


def found(root: Path, signature: Path | None = None) -> dict[str, Sort]:
    return {each.name: each.sort for each in FileTree(root, signature).found()}


def test_every_file_is_found_hidden_ones_too_and_hashed(model: Path) -> None:
    tree = FileTree(model)
    names = {each.name: each.size for each in tree.found()}
    assert names == {"weights": 2**21 + 7, ".hidden": 0, "sub/deeper/config": 2}
    for name, digest in tree.digests(names).items():
        assert digest == hashlib.sha256((model / name).read_bytes()).hexdigest()


def test_a_file_is_an_artifact_too(model: Path) -> None:
    tree = FileTree(model / "weights")
    assert list(tree.found()) == [Found(".", Sort.FILE, 2**21 + 7)]
    assert tree.digests(["."]) == {".": hashlib.sha256((model / "weights").read_bytes()).hexdigest()}


def test_progress_adds_up_to_what_was_read(model: Path) -> None:
    read: list[int] = []
    FileTree(model, progress=read.append).digests(["weights", "sub/deeper/config"])
    assert sum(read) == 2**21 + 7 + 2


def test_the_signature_itself_is_left_out_and_no_other_of_its_name(model: Path) -> None:
    for place in ("model.sig", "sub/model.sig"):
        (model / place).write_bytes(b"")
    assert found(model, model / "sub" / ".." / "model.sig").keys() & {"model.sig", "sub/model.sig"} == {"sub/model.sig"}
    assert found(model, model.parent / "model.sig").keys() >= {"model.sig", "sub/model.sig"}


def link(place: Path) -> None:
    place.symlink_to("/etc/passwd")


def link_to_folder(place: Path) -> None:
    place.symlink_to("/etc")


def listen(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))


@pytest.mark.parametrize(
    ("make", "sort"),
    [
        (link, Sort.LINK),
        (link_to_folder, Sort.LINK),
        (os.mkfifo, Sort.SPECIAL),
        (listen, Sort.SPECIAL),
        (Path.mkdir, Sort.EMPTY_FOLDER),
    ],
)
def test_what_is_no_file_is_named_and_never_opened(
    model: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], sort: Sort
) -> None:
    monkeypatch.chdir(model)  # the address of a socket must be short
    make(Path("odd"))
    assert found(model)["odd"] is sort
    with pytest.raises(ArtifactUnreadable, match="odd"):
        FileTree(model).digests(["odd"])


def test_a_link_as_the_artifact_is_not_followed(model: Path) -> None:
    alias = model.parent / "alias"
    alias.symlink_to(model)
    assert found(alias) == {".": Sort.LINK}
    with pytest.raises(ArtifactUnreadable):
        FileTree(alias).digests(["weights"])


def test_a_folder_that_becomes_a_link_is_not_followed(model: Path) -> None:
    tree = FileTree(model)
    assert "sub/deeper/config" in {each.name for each in tree.found()}
    (model / "sub").rename(model.parent / "elsewhere")
    (model / "sub").symlink_to(model.parent / "elsewhere")
    with pytest.raises(ArtifactUnreadable, match="sub/deeper/config cannot be read"):
        tree.digests(["sub/deeper/config"])


@pytest.mark.parametrize("change", ["grow", "shrink", "touch", "replace"])
def test_a_file_that_changes_while_it_is_read_has_no_digest(model: Path, change: str) -> None:
    file, begun = model / "weights", threading.Event()

    def interfere(_: int) -> None:
        if begun.is_set():
            return
        begun.set()
        if change == "grow":
            with file.open("ab") as opened:
                opened.write(b"more")
        elif change == "shrink":
            os.truncate(file, 10)
        elif change == "replace":
            (model / "sub" / "deeper" / "config").rename(file)
        else:
            state = file.stat()
            with file.open("r+b") as opened:
                opened.write(b"y")
            os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))

    with pytest.raises(ArtifactUnreadable, match="weights changed while it was read"):
        FileTree(model, progress=interfere).digests(["weights"])


def test_what_cannot_be_listed_or_is_not_there_is_unreadable(model: Path) -> None:
    with pytest.raises(ArtifactUnreadable, match="nothing cannot be read: No such file"):
        FileTree(model / "nothing").found()
    with pytest.raises(ArtifactUnreadable, match="gone"):
        FileTree(model).digests(["gone"])


def test_a_sparse_file_of_petabytes_is_refused_before_it_is_read(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_tree, "MAXIMUM_BYTES", 2**40)  # what every file system takes
    os.truncate(model / "weights", 2**40 + 1)
    with pytest.raises(ArtifactUnreadable, match="has more than"):
        FileTree(model).found()


def test_more_files_than_a_signature_names_are_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_tree, "MAXIMUM_FILES", 2)
    with pytest.raises(ArtifactUnreadable, match="more than 2 files"):
        FileTree(model).found()


def test_folders_in_folders_end_somewhere(model: Path) -> None:
    (model / "/".join(["d"] * 110)).mkdir(parents=True)
    with pytest.raises(ArtifactUnreadable, match="deep"):
        FileTree(model).found()


def test_a_name_that_is_not_unicode_is_found(model: Path) -> None:
    (model / os.fsdecode(b"\xff\n")).write_bytes(b"")
    assert found(model)["\udcff\n"] is Sort.FILE


def is_cached(file: Path) -> bool:
    """Whether the first page is there without asking the disk."""
    with file.open("rb") as opened:
        try:
            return os.preadv(opened.fileno(), [bytearray(4096)], 0, os.RWF_NOWAIT) > 0
        except BlockingIOError:
            return False


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="only Linux tells what is in the page cache")
def test_a_file_system_that_keeps_no_advice_is_read_all_the_same() -> None:
    """A pipe is the nearest that refuses it."""
    reading, writing = os.pipe()
    try:
        PageCache(reading, 10).read_until(10)
    finally:
        os.close(reading)
        os.close(writing)


def test_reading_without_a_trace_leaves_the_page_cache_as_it_was(model: Path) -> None:
    weights = model / "weights"
    weights.write_bytes(b"x" * (2**23 + 2**22))
    with weights.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if is_cached(weights):
        pytest.skip("this file system is the page cache")
    FileTree(model, leaves_no_trace=True).digests(["weights"])
    assert not is_cached(weights)
    for leaves_no_trace in (False, True):
        FileTree(model, leaves_no_trace=leaves_no_trace).digests(["weights"])
        assert is_cached(weights)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_bytes(b"x"),
        lambda file: file.chmod(0o700),
        lambda file: os.utime(file, (0, 0)),
        lambda file: file.rename(file.with_name("other")),
        lambda file: file.with_name("new").touch(),
        lambda file: file.unlink(),
    ],
    ids=["written", "chmod", "times", "renamed", "added", "removed"],
)
def test_a_mark_is_another_one_after_a_change_and_the_same_after_reading(
    model: Path, change: Callable[[Path], object]
) -> None:
    tree = FileTree(model)
    mark = tree.mark()
    (model / "weights").read_bytes()
    tree.digests(["weights"])
    assert tree.mark() == mark
    change(model / "weights")
    assert tree.mark() != mark
