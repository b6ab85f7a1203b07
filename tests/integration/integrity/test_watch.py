"""R10, R11: what is done to files that are watched is seen within a look, and nothing is seen that was not done."""

import mmap
import os
import pickle
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from random import Random

import anyio
import pytest
from anyio import to_thread

from service.adapters.artifacts.file_tree import FileTree
from service.adapters.artifacts.targets_file import read_targets
from service.domain.errors import ArtifactUnreadable, InvalidConfiguration
from service.domain.integrity.watched import State
from tests.integration.integrity.watching import FILES, Model, flip, made, watching
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio
EVIL = (".git/hooks/x", ".github/x", ".evil", "__pycache__/x.pyc", "a/z\n", os.fsdecode(b"a/\xff"))


def flipped_with_times_restored(model: Model) -> None:
    before = model.weights.stat()
    flip(model.weights)
    os.utime(model.weights, ns=(before.st_atime_ns, before.st_mtime_ns))


def flipped_through_a_mapping(model: Model) -> None:
    with model.weights.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[77] ^= 1
        mapped.flush()


def replaced_by_name(model: Model) -> None:
    other = model.root.parent / "other"
    other.write_bytes(FILES["model.onnx"][:-1] + b"X")
    os.utime(other, ns=(0, model.weights.stat().st_mtime_ns))
    other.replace(model.weights)


def removed(model: Model) -> None:
    (model.root / "a" / "b").unlink()


def renamed(model: Model) -> None:
    (model.root / "a" / "b").rename(model.root / "a" / "c")


def folder_swapped(model: Model) -> None:
    other = model.root.parent / "other"
    shutil.copytree(model.root, other)
    flip(other / "model.onnx")
    model.root.rename(model.root.parent / "away")
    other.rename(model.root)


def link(model: Model) -> None:
    (model.root / "link").symlink_to("/etc/passwd")


def link_in_place_of_a_file(model: Model) -> None:
    model.weights.rename(model.root.parent / "weights")
    model.weights.symlink_to(model.root.parent / "weights")


def hard_link_from_elsewhere(model: Model) -> None:
    os.link(model.keys / "release.pub", model.root / "linked")


def pipe_in_place_of_a_file(model: Model) -> None:
    model.weights.unlink()
    os.mkfifo(model.weights)


def socket_beside(model: Model) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(model.root / "s"))


def folder_in_place_of_a_file(model: Model) -> None:
    model.weights.unlink()
    model.weights.mkdir()


def sparse_file_beside(model: Model) -> None:
    with (model.root / "large").open("wb") as file:
        file.truncate(2**40)


def older_version_with_its_own_signature(model: Model) -> None:
    """Case 45: what `old` was, put back with the signature that it had."""
    model.sign(version=0)


def added(name: str) -> Callable[[Model], None]:
    def add(model: Model) -> None:
        place = model.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"")

    add.__name__ = f"added {name!r}"
    return add


TAMPERING: list[Callable[[Model], None]] = [
    flipped_with_times_restored,
    flipped_through_a_mapping,
    replaced_by_name,
    removed,
    renamed,
    folder_swapped,
    link,
    link_in_place_of_a_file,
    hard_link_from_elsewhere,
    pipe_in_place_of_a_file,
    socket_beside,
    folder_in_place_of_a_file,
    sparse_file_beside,
    older_version_with_its_own_signature,
    *map(added, EVIL),
]


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda tamper: tamper.__name__.replace("_", " "))
async def test_whatever_is_done_to_the_files_is_found_at_the_next_look(
    model: Model, tamper: Callable[[Model], None]
) -> None:
    """Cases 41, 42, 43, 45; R10. The next reading by time alone would come in five minutes."""
    async with watching(model.targets(minimum_version=1)) as watch:
        await watch.becomes(State.VERIFIED)
        tamper(model)
        shown = await watch.becomes(State.TAMPERED)
        assert shown.history.reason
        names = (*shown.history.changes.changed, *shown.history.changes.missing, *shown.history.changes.added)
        assert all(name.isprintable() for name in names)
        assert names or tamper is older_version_with_its_own_signature


async def test_a_bit_that_is_flipped_back_was_flipped_all_the_same(model: Model) -> None:
    """Case 41."""
    async with watching(model.targets()) as watch:
        await watch.becomes(State.VERIFIED)
        flip(model.weights)
        await watch.becomes(State.TAMPERED)
        flip(model.weights)
        await watch.verified_again()
        assert watch.shown.state is State.TAMPERED
        assert watch.shown.history.changes.changed == ("model.onnx",)


async def test_bits_anywhere_are_found(tmp_path: Path) -> None:
    """Case 40: each time by a watch of its own, because what was found once is never forgotten."""
    random = Random(11)  # noqa: S311 - nothing secret
    model = made(tmp_path, {"weights": bytes(5_000)})
    weights = model.root / "weights"
    for bit in (0, 39_999, *random.choices(range(40_000), k=10)):
        async with watching(model.targets()) as watch:
            await watch.becomes(State.VERIFIED)
            flip(weights, bit)
            await watch.becomes(State.TAMPERED)
            flip(weights, bit)


async def test_what_the_look_does_not_show_is_found_by_reading(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """R10 with stat hidden: the marks are those of before, as on a file system that tells of no change."""
    async with watching(model.targets(interval_seconds=0.2, megabytes_per_second=100_000)) as watch:
        await watch.becomes(State.VERIFIED)
        mark = b"the same"
        monkeypatch.setattr("service.adapters.artifacts.file_tree.FileTree.mark", lambda *_, **__: mark)
        await watch.verified_again(2)
        assert watch.shown.state is State.VERIFIED
        flip(model.weights)
        await watch.becomes(State.TAMPERED)


@pytest.mark.parametrize("signature", [b"", b"null", b"{}", b"\xff" * 1_000])
async def test_a_signature_that_says_nothing_is_unverifiable_at_once(model: Model, signature: bytes) -> None:
    """Case 46, of a signature that is replaced while it is relied on."""
    good = model.signature.read_bytes()
    async with watching(model.targets()) as watch:
        await watch.becomes(State.VERIFIED)
        model.signature.write_bytes(signature)
        shown = await watch.becomes(State.UNVERIFIABLE)
        assert shown.history.reason
        model.signature.write_bytes(good)
        await watch.becomes(State.VERIFIED)


async def test_a_key_that_is_revoked_ends_the_trust_at_the_next_look(model: Model) -> None:
    """Case 47."""
    trust = model.keys / "trust.yaml"
    trust.write_text("keys: [{id: a, key: release.pub}]")
    async with watching(model.targets(key=None, trust="trust.yaml")) as watch:
        await watch.becomes(State.VERIFIED)
        trust.write_text("keys: [{id: a, key: release.pub, revoked: true}]")
        assert "revoked" in (await watch.becomes(State.UNVERIFIABLE)).history.reason


async def test_a_key_that_is_trusted_for_data_only_is_believed_for_nothing_else(tmp_path: Path) -> None:
    model = made(tmp_path, {"model.pkl": pickle.dumps({"a": 1})})
    trust = model.keys / "trust.yaml"
    trust.write_text("keys: [{id: a, key: release.pub, data_only: true}]")
    async with watching(model.targets(key=None, trust="trust.yaml")) as watch:
        assert "model.pkl" in (await watch.becomes(State.UNVERIFIABLE)).history.reason


async def test_what_others_do_without_changing_anything_is_nothing(model: Model) -> None:
    """R11: reads, access times, modes, files beside; and a file that is rewritten with what was in it."""
    async with watching(model.targets()) as watch:
        await watch.becomes(State.VERIFIED)
        for _ in range(3):
            model.weights.read_bytes()
            os.utime(model.weights, ns=(1, model.weights.stat().st_mtime_ns))
            (model.root.parent / "beside.log").write_text("x")
            await watch.verified_again()  # the inode's time has moved
            assert watch.shown.state is State.VERIFIED
        model.weights.chmod(0o755)
        await watch.verified_again()
        assert watch.shown.state is State.VERIFIED
        model.weights.write_bytes(FILES["model.onnx"])
        await watch.verified_again()
        assert watch.shown.state is State.VERIFIED


async def test_files_that_are_away_for_less_than_the_grace_are_missed_by_nobody(model: Model) -> None:
    """R11."""
    away = model.root.with_name("away")
    async with watching(model.targets(grace_seconds=60, grace_tries=1_000)) as watch:
        await watch.becomes(State.VERIFIED)
        model.root.rename(away)
        await watch.verified_again()
        assert watch.shown.state is State.VERIFIED
        assert "cannot be read" in watch.shown.history.reason
        watch.passed += 61
        await watch.becomes(State.UNVERIFIABLE)
        away.rename(model.root)
        await watch.becomes(State.VERIFIED)


async def test_a_success_that_is_too_long_ago_is_none(model: Model) -> None:
    async with watching(model.targets(interval_seconds=100, max_age_seconds=900)) as watch:
        await watch.becomes(State.VERIFIED)
        watch.passed += 901
        assert watch.shown.state is State.STALE
        await watch.becomes(State.VERIFIED)  # by itself: its time to be read again has come, too


async def test_a_file_that_takes_an_hour_to_read_is_not_relied_on_meanwhile(model: Model) -> None:
    """Case 43: a terabyte of nothing in the place of the weights."""
    async with watching(model.targets(grace_seconds=0.2)) as watch:
        await watch.becomes(State.VERIFIED)
        with model.weights.open("wb") as file:
            file.truncate(2**40)
        assert (await watch.becomes(State.UNVERIFIABLE)).history.changes.changed == ()


async def test_files_that_change_all_the_time_are_never_taken_for_verified(tmp_path: Path) -> None:
    """Case 44: replaced and truncated in a loop while they are hashed."""
    model = made(tmp_path, {"weights": bytes(3_000_000)})
    weights, stop = model.root / "weights", threading.Event()

    def replace_it_over_and_over() -> None:
        while not stop.wait(0.0005):
            other = tmp_path / "other"
            other.write_bytes(b"\1" * 3_000_000)
            other.replace(weights)
            os.truncate(weights, 2_999_999)

    async with watching(model.targets(grace_tries=2)) as watch:
        await watch.becomes(State.VERIFIED)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(to_thread.run_sync, replace_it_over_and_over)
            try:
                await watch.verified_again(2)
            finally:
                stop.set()
        assert watch.shown.state in {State.UNVERIFIABLE, State.TAMPERED}


async def test_a_change_calls_a_slow_reading_off_and_is_read_at_once(tmp_path: Path) -> None:
    """What reading at the pace of 100 KB/s would find after half a minute is found at the next look."""
    model = made(tmp_path, {"first": bytes(10), "weights": bytes(3_000_000)})
    async with watching(model.targets(interval_seconds=0.1, max_age_seconds=900, megabytes_per_second=0.1)) as watch:
        await watch.becomes(State.VERIFIED)
        counted = watch.metrics.integrity_hashed_bytes.labels("fraud")._value

        async def is_read_again() -> bool:
            return bool(counted.get() > 3_000_010)

        await eventually_async(is_read_again, "the second reading is under way")
        flip(model.root / "first")
        assert (await watch.becomes(State.TAMPERED)).history.changes.changed == ("first",)


@pytest.mark.skipif(sys.platform != "linux", reason="a niceness of its own for each thread is Linux's")
async def test_reading_at_its_pace_stands_behind_everything_else(tmp_path: Path) -> None:
    """R12."""

    def niceness() -> list[int]:
        readers = [each for each in threading.enumerate() if each.name.startswith(("verifying", "hashing"))]
        return [os.getpriority(os.PRIO_PROCESS, each.native_id or 0) for each in readers]

    model = made(tmp_path, {"weights": bytes(3_000_000)})
    async with watching(model.targets(interval_seconds=0.1, max_age_seconds=900, megabytes_per_second=0.1)) as watch:
        await watch.becomes(State.VERIFIED)

        async def reads() -> bool:
            return niceness() == [19, 19]

        await eventually_async(reads, "the second reading is under way")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_models_of_the_same_bytes_under_other_names_are_told_apart(
    tmp_path: Path, order: tuple[int, int]
) -> None:
    """Cases 45, 49: another model with its own valid signature is not the one that is pinned."""
    folders = [tmp_path / "a", tmp_path / "b"]
    models = [made(folder, {name: b"same"}) for folder, name in zip(folders, ("x.bin", "x.py"), strict=True)]
    kept, other = (models[place] for place in order)
    shared = Model(kept.root, kept.key)
    digest = shared.sign()
    async with watching(kept.targets(payload_digest=digest)) as watch:
        await watch.becomes(State.VERIFIED)
        signed_by_the_same = Model(other.root, kept.key)
        signed_by_the_same.sign()
        shutil.rmtree(kept.root)
        shutil.copytree(other.root, kept.root)
        shutil.copy(other.signature, kept.signature)
        await watch.becomes(State.TAMPERED)


def test_keys_and_targets_within_what_is_watched_are_refused(model: Model) -> None:
    """Case 52."""
    shutil.copy(model.keys / "release.pub", model.root / "release.pub")
    with pytest.raises(InvalidConfiguration, match=r"targets\[0\].*keep keys in another place"):
        read_targets(model.targets(key=str(model.root / "release.pub")))
    inside = model.root / "integrity.yaml"
    shutil.copy(model.targets(key=str(model.keys / "release.pub")), inside)
    with pytest.raises(InvalidConfiguration, match="is in what it says is watched"):
        read_targets(inside)


async def test_a_link_that_leads_to_itself_ends_no_watch(model: Model) -> None:
    """Python 3.11 and 3.12 raise no `OSError` where a path is resolved through one."""
    away = model.root.with_name("away")
    async with watching(model.targets(grace_tries=1)) as watch:
        await watch.becomes(State.VERIFIED)
        model.root.rename(away)
        model.root.symlink_to(model.root)
        await watch.verified_again()
        assert watch.shown.state is not State.VERIFIED
        model.root.unlink()
        away.rename(model.root)
        await watch.verified_again()


async def test_a_folder_that_was_another_for_the_time_of_a_reading_is_not_verified(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both looks see the same files, and a rename leaves no trace in those below."""
    away, decoy = model.root.with_name("away"), model.root.with_name("decoy")
    shutil.copytree(model.root, decoy)
    read = FileTree.digests

    def of_the_decoy(files: FileTree, names: Collection[str]) -> Mapping[str, str]:
        model.root.rename(away)
        decoy.rename(model.root)
        try:
            return read(files, names)
        finally:
            model.root.rename(decoy)
            away.rename(model.root)

    flip(model.weights)
    monkeypatch.setattr(FileTree, "digests", of_the_decoy)
    async with watching(model.targets(grace_tries=1)) as watch:
        assert "changed while they were read" in (await watch.becomes(State.UNVERIFIABLE)).history.reason


async def test_a_large_model_is_read_again_within_its_grace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R11: a disk that fails once; at its pace the next reading would take half a minute, and the grace be over."""
    model = made(tmp_path, {"weights": bytes(3_000_000)})
    members = {"interval_seconds": 0.1, "max_age_seconds": 900, "megabytes_per_second": 0.1, "grace_seconds": 3}
    read, failed = FileTree.digests, threading.Event()

    def once_not(files: FileTree, names: Collection[str]) -> Mapping[str, str]:
        digests = read(files, names)
        if not failed.is_set():
            failed.set()
            raise ArtifactUnreadable("weights cannot be read: Stale file handle")
        return digests

    monkeypatch.setattr(FileTree, "digests", once_not)
    async with watching(model.targets(**members)) as watch:
        await watch.verified_again()
        assert watch.shown.history.reason
        await watch.verified_again()
        assert watch.shown.state is State.VERIFIED
        assert [event.data["state"] for event in watch.told] == [State.VERIFIED]


async def test_a_change_counts_from_when_it_is_seen_though_the_reading_hangs(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file server that answers no read would else be relied on for as long as a success counts."""
    read, begun, goes_on = FileTree.digests, threading.Event(), threading.Event()

    def hangs(files: FileTree, names: Collection[str]) -> Mapping[str, str]:
        begun.set()
        goes_on.wait(60)
        return read(files, names)

    async def has_begun() -> bool:
        return begun.is_set()

    async with watching(model.targets(interval_seconds=0.1, max_age_seconds=900, grace_seconds=0.2)) as watch:
        await watch.becomes(State.VERIFIED)
        monkeypatch.setattr(FileTree, "digests", hangs)
        try:
            await eventually_async(has_begun, "another reading is under way")
            model.weights.write_bytes(FILES["model.onnx"])
            await watch.becomes(State.UNVERIFIABLE)
        finally:
            goes_on.set()
        await watch.becomes(State.VERIFIED)


async def test_a_pipe_in_the_place_of_the_signature_is_not_waited_for(model: Model) -> None:
    async with watching(model.targets(grace_tries=1)) as watch:
        await watch.becomes(State.VERIFIED)
        signature = model.signature.read_bytes()
        model.signature.unlink()
        os.mkfifo(model.signature)
        assert "not a file" in (await watch.becomes(State.UNVERIFIABLE)).history.reason
        model.signature.unlink()
        model.signature.write_bytes(signature)
        await watch.becomes(State.VERIFIED)
