"""Golden state: what a release has stored, key by key, as bytes; read by every later one for ever.

    python -m tests.conformance.ports.golden.state_files 2     writes state-2.json, and never over one that is there

A file is made when the format of an entry changes, by the release that writes it first.
"""

import asyncio
import base64
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from service.adapters.embedded_store import embedded_store
from service.adapters.log import RedisDeliveryLog, RedisObservationLog, RedisVerdictLog
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Client, Keys, connection
from service.domain.models import LOG_START
from tests.conformance.ports.golden.expected import (
    BATCH,
    DELIVERY,
    MODEL,
    REFERENCE,
    REGISTRATION,
    UNTRACED,
    VERDICT,
)

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("state-*.json"))


async def load(file: Path, redis: Client, prefix: str) -> None:
    """Put the state into a store, under another prefix."""
    await put(state_of(file), redis, prefix)


async def put(state: dict[str, Any], redis: Client, prefix: str) -> None:
    """The same for a state that a test has made."""
    for suffix, value in state.items():
        key = f"{prefix}:{suffix}"
        match value["type"]:
            case "stream":
                for identifier, fields in value["entries"]:
                    await redis.xadd(key, {_bytes(name): _bytes(text) for name, text in fields}, id=identifier)
            case "set":
                await redis.sadd(key, *map(_bytes, value["members"]))
            case "list":
                await redis.rpush(key, _bytes(value["value"]))
            case _:
                await redis.set(key, _bytes(value["value"]))


async def dump(redis: Client, prefix: str) -> dict[str, Any]:
    """What is stored under a prefix."""
    state: dict[str, Any] = {}
    for key in sorted([key async for key in redis.scan_iter(match=f"{prefix}:*")]):
        kind = (await redis.type(key)).decode()
        suffix = key.decode().removeprefix(f"{prefix}:")
        match kind:
            case "stream":
                entries = [
                    [identifier.decode(), [[_text(name), _text(value)] for name, value in fields.items()]]
                    for identifier, fields in await redis.xrange(key)
                ]
                state[suffix] = {"type": kind, "entries": entries}
            case "set":
                state[suffix] = {"type": kind, "members": sorted(map(_text, await redis.smembers(key)))}
            case _:
                state[suffix] = {"type": kind, "value": _text(await redis.get(key))}
    return state


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)


def state_of(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8")))


async def _written(url: str) -> dict[str, Any]:
    async with connection(url, 10.0) as redis:
        keys = Keys("golden")
        log = RedisObservationLog(redis, keys, 100, retained_bytes=2**30, horizon=100)
        for batch in (BATCH, UNTRACED):
            position = await log.append(MODEL, batch)
        await log.read(MODEL, LOG_START, 10)
        await log.forget_before(MODEL, position, 10)  # writes down which batches have been passed
        await RedisVerdictLog(redis, keys, 100).commit(VERDICT)
        await RedisDeliveryLog(redis, keys, 100).record(MODEL, DELIVERY)
        await RedisRegistrations(redis, keys).register(REGISTRATION, REFERENCE)
        return await dump(redis, "golden")


def main() -> None:
    file = HERE / f"state-{int(sys.argv[1])}.json"
    if file.exists():
        sys.exit(f"{file} is there already: what was once written is not rewritten")
    with tempfile.TemporaryDirectory() as directory, embedded_store(Path(directory)) as url:
        file.write_text(json.dumps(asyncio.run(_written(url)), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
