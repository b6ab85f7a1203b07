"""A cluster's client whose pipelines fail for each node by itself.

The driver's own fails as a whole when one node does, and closes everybody's connections to all nodes: batches of models
on other nodes, which are appended in the same group, would be refused with it.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from redis.asyncio.cluster import ClusterNode, ClusterPipeline, PipelineCommand, RedisCluster
from redis.exceptions import AskError, MovedError, ResponseError, TryAgainError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.adapters.store_errors import OF_THE_DRIVER

T = TypeVar("T")
ELSEWHERE = (MovedError, AskError, TryAgainError)
MAXIMUM_CONNECTIONS = 100
"""Of a pool, which refuses who finds none instead of making them wait: so no more ask it at a time."""
_COMMANDS = MAXIMUM_CONNECTIONS - 20
"""Of a cluster, whose pipelines need connections as well."""


async def in_time(seconds: float, doing: Awaitable[T]) -> T:
    """Give up on it after so long, as the driver does on a single read."""
    try:
        async with asyncio.timeout(seconds):
            return await doing
    except TimeoutError as error:
        raise RedisTimeoutError("no answer within the timeout") from error


class ClusterInTime(RedisCluster):
    """A client that gives up after the timeout, however many nodes it asks for its way."""

    def __init__(self, timeout: float, **arguments: Any) -> None:
        # 0: a slot that has moved is looked up; by default every fifth would close everybody's connections.
        super().__init__(**arguments, reinitialize_steps=0)
        self.timeout = timeout
        self._places = asyncio.Semaphore(_COMMANDS)

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        return await in_time(self.timeout, self._execute(*arguments, **options))

    async def _execute(self, *arguments: Any, **options: Any) -> Any:
        async with self._places:
            await self.initialize()  # before the driver knows the slots, it would ask any node
            return await super().execute_command(*arguments, **options)

    def pipeline(self, transaction: Any | None = None, shard_hint: Any | None = None) -> ClusterPipeline:
        if transaction or shard_hint:
            return super().pipeline(transaction, shard_hint)
        return _PipelineByNode(self)  # type: ignore[abstract]


class _PipelineByNode(ClusterPipeline):
    """Commands on single keys: the first argument of each is its key."""

    def __init__(self, client: ClusterInTime) -> None:
        super().__init__(client)
        self._client = client
        self._commands: list[PipelineCommand] = []

    def execute_command(self, *arguments: Any, **options: Any) -> "_PipelineByNode":
        self._commands.append(PipelineCommand(len(self._commands), *arguments, **options))
        return self

    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> list[Any]:  # noqa: ARG002
        commands, self._commands = self._commands, []
        await in_time(self._client.timeout, self._client.initialize())
        await asyncio.gather(*(self._on_node(node, group) for node, group in self._by_node(commands)))
        replies = [command.result for command in commands]
        if raise_on_error:
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        return replies

    def _by_node(self, commands: Sequence[PipelineCommand]) -> list[tuple[ClusterNode | None, list[PipelineCommand]]]:
        groups: dict[str, tuple[ClusterNode | None, list[PipelineCommand]]] = {}
        for command in commands:
            try:
                node = self._client.get_node_from_key(command.args[1])
            except OF_THE_DRIVER:  # nobody has its slot now
                node = None
            groups.setdefault("" if node is None else node.name, (node, []))[1].append(command)
        return list(groups.values())

    async def _on_node(self, node: ClusterNode | None, commands: Sequence[PipelineCommand]) -> None:
        try:
            if node is not None:
                await in_time(self._client.timeout, node.execute_pipeline(list(commands)))
        except RedisTimeoutError as error:
            return _all_failed(commands, error)
        except OF_THE_DRIVER:
            node = None
        # One by one where the node is another by now: that way the driver learns which, and tries again.
        again = [command for command in commands if node is None or isinstance(command.result, ELSEWHERE)]
        for number, command in enumerate(again):
            try:
                command.result = await self._client.execute_command(*command.args, **command.kwargs)
            except ResponseError as error:
                command.result = error
            except OF_THE_DRIVER as error:
                return _all_failed(again[number:], error)
        return None


def _all_failed(commands: Sequence[PipelineCommand], error: Exception) -> None:
    for command in commands:
        command.result = error
