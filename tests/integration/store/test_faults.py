"""Half open, full disk, failing disk: refused while it lasts, never acknowledged in vain, well again by itself."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from service.settings import StoreSettings
from tests.integration.service.conftest import Application, application
from tests.integration.store.test_outage import assert_unavailable
from tests.processes.fixtures import MakeService, MakeStore
from tests.processes.proxy import proxy_to
from tests.processes.small_disk import fill, small_disk
from tests.processes.stores import StoreServer, valkey_binary
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually, eventually_async
from tests.soak.outages import outages

pytestmark = pytest.mark.anyio


def settings(port: int, **more: Any) -> StoreSettings:
    return StoreSettings(url=f"redis://127.0.0.1:{port}", **more)


async def is_ready(app: Application) -> bool:
    return (await app.client.get("/readyz")).status_code == 200


async def is_unready(app: Application) -> bool:
    return not await is_ready(app)


async def unavailable(app: Application) -> None:
    """All of it is refused, and the process says that it lives."""
    assert_unavailable(await app.observe(payload(rows(1, 5))))
    assert_unavailable(await app.client.get("/readyz"))
    assert_unavailable(await app.client.get("/v1/models/churn/verdicts"))
    assert (await app.client.get("/livez")).status_code == 200


async def recovered(app: Application, key: str) -> None:
    await eventually_async(lambda: is_ready(app), "the service is ready again")

    async def taken() -> bool:
        return (await app.observe(payload(rows(1, 50)), key=key)).status_code == 200

    await eventually_async(taken, "batches are taken again")

    async def judged() -> bool:
        return bool(await app.verdicts())

    await eventually_async(judged, "windows are judged again")


async def test_half_open_connections_are_given_up_and_replaced(make_store: MakeStore) -> None:
    """A lost route: nothing is reset, neither on the pooled connections nor on new ones."""
    store = make_store()
    async with proxy_to(store.port) as proxy, application(settings(proxy.port, timeout_seconds=0.5)) as app:
        await app.register()
        proxy.swallow()
        await unavailable(app)
        await proxy.cut()
        await recovered(app, "after")


async def test_a_store_that_ends_and_comes_back_is_found_again(make_store: MakeStore) -> None:
    store = make_store()
    async with application(settings(store.port)) as app:
        await app.register()
        store.kill()
        await unavailable(app)
        store.start()
        await recovered(app, "after")


async def test_a_full_disk_is_told_and_outlived(full_disk: Path) -> None:
    store = StoreServer(valkey_binary(), full_disk / "data")
    store.start()
    try:
        async with application(settings(store.port)) as app:
            await app.register()
            with filled(full_disk / "filler"):
                # What the server has in hand when the disk is full is written once there is room; then it refuses.
                await eventually_async(lambda: refused(app), "batches are refused")
                answer = await app.observe(payload(rows(1, 5)))
                assert_unavailable(answer)
                assert "MISCONF" in answer.json()["detail"]
                assert_unavailable(await app.client.get("/readyz"))
                assert (await app.client.get("/livez")).status_code == 200
            await recovered(app, "after")
    finally:
        store.kill()


async def refused(app: Application) -> bool:
    return (await app.observe(payload(rows(1, 200)))).status_code == 503


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of 64 MB that may be filled."""
    with small_disk(tmp_path / "disk") as place:
        yield place


@contextmanager
def filled(file: Path) -> Iterator[None]:
    """Nothing more can be written while the context lasts."""
    fill(file)
    try:
        yield
    finally:
        file.unlink()


@pytest.mark.parametrize("level", ["log", "fsync"])
async def test_a_disk_that_fails_to_sync_is_never_acknowledged(
    make_store: MakeStore, level: Literal["log", "fsync"]
) -> None:
    """At `appendfsync always`: the server gives up, and everything that was acknowledged is there when it is back."""
    store = make_store("valkey", "--appendfsync", "always")
    async with application(settings(store.port, acknowledge=level)) as app:
        await app.register()
        store.kill()
        under_strace(store)
        await eventually_async(lambda: is_ready(app), "the service is ready again")
        acknowledged, statuses = [], set()
        for number in range(200):
            answer = await app.observe(payload(rows(number, 5)), key=f"batch {number}")
            statuses.add(answer.status_code)
            if answer.status_code == 200:
                acknowledged.append(f"batch {number}")
            if store.has_ended():
                break
        eventually(store.has_ended, "the server has given up")
        assert acknowledged
        assert statuses <= {200, 503}
        assert_unavailable(await app.observe(payload(rows(1, 5))))
        await eventually_async(lambda: is_unready(app), "the service says that it is not ready")
        store.wrapper = ()
        store.start()
        await recovered(app, "after")
        with store.client() as direct:
            found = {fields[b"i"].decode() for _, fields in direct.xrange("driftwarden:{churn}:observations")}
        assert set(acknowledged) <= found


def under_strace(store: StoreServer) -> None:
    """Start it so that every fdatasync from some time on fails with EIO."""
    if shutil.which("strace") is None:
        pytest.skip("no strace on PATH: install it, e.g. apt-get install strace")
    inject = ("-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=40+")
    store.wrapper = ("strace", "-f", "-qq", "-o", os.devnull, *inject)
    try:
        store.start()
    except RuntimeError:
        pytest.skip("this machine does not let a test trace processes")


def test_every_fault_is_refused_told_and_mended_under_load(make_service: MakeService, tmp_path: Path) -> None:
    """One service sees them all; how long answers take is measured by `make soak`, which lets each last a minute."""
    with small_disk(tmp_path / "disk") as place:
        store = StoreServer(valkey_binary(), place / "data")
        store.start()
        try:
            short = {"DRIFT_STORE__TIMEOUT_SECONDS": "0.5"}
            figures = outages(store, make_service, seconds_each=0.2, filler=place / "filler", **short)
        finally:
            store.resume()
            store.kill()
    assert figures[-1].is_kept
