"""Appending in groups: what arrives while the store is being waited for goes to it together, in one pipeline.

A batch that its sender named is looked up by that name first, in a round trip before the appending one. So a second
body under the same name is refused before it is in the log, whichever replica it came to, without transactions and
without scripts; and a repetition is answered as the first time, from where its place was noted.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisError, ResponseError

from service.adapters.store import Client, in_our_words, store_errors
from service.domain.errors import ConflictingBatch, InvalidConfiguration, StoreUnavailable

MAXIMUM_GROUP = 256
"""Batches a pipeline; with the bound in bytes, what one command of another client may have to wait for."""
MAXIMUM_GROUP_BYTES = 8 * 2**20
DIGEST_BYTES = 32
_ALWAYS_WANTED = (
    "DRIFT_STORE__ACKNOWLEDGE=fsync needs a store with `appendfsync always` "
    "(where it is known to run so: DRIFT_STORE__APPENDFSYNC_ALWAYS=true)"
)


@dataclass(frozen=True, slots=True)
class Named:
    """What is remembered of a batch that its sender named."""

    key: str
    digest: bytes
    """SHA-256 of the body: another one under the same name is a conflict."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What goes into another stream together with a batch, and is acknowledged with it."""

    stream: str
    fields: dict[bytes, bytes]
    most: int
    """Entries that the stream keeps."""


@dataclass(slots=True, eq=False)
class Appending:
    """A batch on its way into a stream."""

    stream: str
    fields: dict[bytes, bytes]
    size: int
    """Bytes, about."""
    named: Named | None = None
    beside: Beside | None = None
    position: asyncio.Future[bytes] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self, reply: object) -> None:
        """With a position, or with what went wrong; a caller that went away is told nothing."""
        if self.position.done():
            return
        if isinstance(reply, bytes):
            self.position.set_result(reply)
            return
        error = reply if isinstance(reply, Exception) else StoreUnavailable("the store gave no position")
        self.position.set_exception(in_our_words(error))
        self.position.exception()  # looked at, in case the caller has gone away


@dataclass(frozen=True, slots=True)
class Durability:
    """What the store is asked for beyond appending."""

    remembered_seconds: int
    """How long a name is remembered."""
    fsync_milliseconds: int | None = None
    """Wait so long for the append-only file to be on the disk; None: not at all."""
    groups_under_way: int = 1
    """Pipelines at the same time. One makes the largest groups; waiting for a disk takes several."""


async def may_wait_for_disk(redis: Client, *, known_always: bool) -> bool:
    """Whether the store writes to its disk before it answers *and* can be asked to say so (WAITAOF).

    WAITAOF alone is no proof: with `appendfsync everysec`, Valkey 9.1 (as Redis did from 7.4, redis/redis#13793) says
    yes before it has called fdatasync. Raises
    `InvalidConfiguration` unless the store runs `appendfsync always`, by its own word or the operator's.
    """
    if not known_always:
        await _refuse_unless_always(redis)
    if isinstance(redis, RedisCluster):  # WAITAOF has no key by which the driver would find the right node
        return False
    try:
        await redis.execute_command("WAITAOF", 1, 0, 1)  # type: ignore[no-untyped-call]
    except ResponseError as error:
        if "appendonly" in str(error):
            raise InvalidConfiguration("DRIFT_STORE__ACKNOWLEDGE=fsync: the store has no append-only file") from error
        return False  # older than Redis 7.2, or not allowed to this user
    except (RedisError, OSError):
        return False
    return True


async def _refuse_unless_always(redis: Client) -> None:
    try:
        policies = set((await redis.config_get("appendfsync")).values())
    except (RedisError, OSError) as error:
        message = f"the store does not say whether it does ({type(error).__name__})"
        raise InvalidConfiguration(f"{_ALWAYS_WANTED}: {message}") from error
    if policies - {b"always", "always"} or isinstance(redis, RedisCluster):
        raise InvalidConfiguration(f"{_ALWAYS_WANTED}: the store does not, or not every node was asked")


class GroupCommit:
    """One a process."""

    def __init__(self, redis: Client, durability: Durability, full_at: int) -> None:
        self._redis = redis
        self._durability = durability
        self._full_at = full_at
        self.full: set[str] = set()
        """Streams that had so many entries when last appended to."""
        self._waiting: deque[Appending] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._unnoted: list[tuple[Named, bytes]] = []

    def put(self, appending: Appending) -> None:
        """Its position is settled when it is in the stream, or cannot be put there."""
        self._waiting.append(appending)
        self._idle.clear()
        self._schedule()

    async def finish(self) -> None:
        """Until nothing is under way."""
        await self._idle.wait()

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled and len(self._under_way) < self._durability.groups_under_way:
            # At the end of this turn of the event loop: whatever else it brings goes along.
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        self._scheduled = False
        group, size = list[Appending](), 0
        while self._waiting and len(group) < MAXIMUM_GROUP and size < MAXIMUM_GROUP_BYTES:
            group.append(self._waiting.popleft())
            size += group[-1].size
        if not group:
            return
        task = asyncio.get_running_loop().create_task(self._commit(group))
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._schedule()
        if not (self._waiting or self._under_way):
            self._idle.set()

    async def _commit(self, group: Sequence[Appending]) -> None:
        try:
            with store_errors():
                if any(each.named for each in group):
                    group = await self._not_known(group)
                if group:
                    await self._append(group)
                if self._unnoted and not self._waiting:  # nothing follows that would take them along
                    await self._look_up([])
        except Exception as error:  # noqa: BLE001 - whatever it is, callers must not wait for ever
            # Those behind would only wait as long for the same answer.
            waiting, self._waiting = self._waiting, deque()
            for each in (*group, *waiting):
                each.settle(error)

    async def _not_known(self, group: Sequence[Appending]) -> list[Appending]:
        """Those to append; the others are answered here."""
        named = [each for each in group if each.named is not None]
        for each, reply in zip(named, await self._look_up([each.named for each in named if each.named]), strict=True):
            assert each.named is not None  # noqa: S101 - chosen so
            if isinstance(reply, Exception):
                each.settle(reply)
            elif reply is not None and reply[:DIGEST_BYTES] != each.named.digest:
                each.settle(ConflictingBatch("another body was sent under this Idempotency-Key before"))
            elif reply is not None and reply[DIGEST_BYTES:]:
                each.settle(reply[DIGEST_BYTES:])
        return [each for each in group if not each.position.done()]

    async def _look_up(self, names: Sequence[Named]) -> Sequence[bytes | Exception | None]:
        """Take the names that nobody has; what is remembered under each."""
        notes, self._unnoted = self._unnoted, []
        pipeline = self._redis.pipeline(transaction=False)
        for named, position in notes:
            pipeline.set(named.key, named.digest + position, xx=True, keepttl=True)
        for named in names:
            pipeline.set(named.key, named.digest, nx=True, ex=self._durability.remembered_seconds)
            pipeline.get(named.key)
        replies = (await pipeline.execute(raise_on_error=False))[len(notes) :]
        return [
            taken if isinstance(taken, Exception) else found
            for taken, found in zip(replies[::2], replies[1::2], strict=True)
        ]

    async def _append(self, group: Sequence[Appending]) -> None:
        streams = list(dict.fromkeys(each.stream for each in group))
        pipeline = self._redis.pipeline(transaction=False)
        for each in group:
            pipeline.xadd(each.stream, each.fields)  # type: ignore[arg-type]
        for stream in streams:
            pipeline.xlen(stream)
        besides = [each for each in group if each.beside is not None]
        for each in besides:
            assert each.beside is not None  # noqa: S101 - chosen so
            stream, fields, most = each.beside.stream, each.beside.fields, each.beside.most
            pipeline.xadd(stream, fields, maxlen=most, approximate=False)  # type: ignore[arg-type]
        if self._durability.fsync_milliseconds is not None:
            pipeline.execute_command("WAITAOF", 1, 0, self._durability.fsync_milliseconds)
        replies = await pipeline.execute(raise_on_error=False)
        not_on_disk = self._not_on_disk(replies[-1])
        after = replies[len(group) + len(streams) :]
        refused = {id(each): reply for each, reply in zip(besides, after, strict=False) if isinstance(reply, Exception)}
        for each, position in zip(group, replies, strict=False):
            wrong = not_on_disk or refused.get(id(each))
            each.settle(wrong or position)
            if each.named is not None and isinstance(position, bytes) and wrong is None:
                self._unnoted.append((each.named, position))
        for stream, length in zip(streams, replies[len(group) :], strict=False):
            if isinstance(length, int) and length >= self._full_at:
                self.full.add(stream)

    def _not_on_disk(self, reply: Any) -> Exception | None:
        if self._durability.fsync_milliseconds is None:
            return None
        if isinstance(reply, Exception):
            return reply
        if isinstance(reply, list) and reply and int(reply[0]) >= 1:
            return None
        return StoreUnavailable("the store has not written to its disk in time")
