"""A user of the store with the rules of docs/operations.md can do nothing else."""

from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from service.adapters.store import Keys
from service.adapters.store_permissions import access_rules
from tests.processes.fixtures import MakeStore
from tests.processes.stores import NO_RETRY

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "operations.md"
OURS, THEIRS = "driftwarden:{churn}:observations", "payroll:{churn}:observations"
DENIED = [
    ("EVAL", "return 1", "0"),
    ("EVAL", "return redis.call('GET', KEYS[1])", "1", OURS),
    ("EVALSHA", "0" * 40, "0"),
    ("SCRIPT", "LOAD", "return 1"),
    ("FUNCTION", "LIST"),
    ("FCALL", "f", "0"),
    ("CONFIG", "GET", "*"),
    ("CONFIG", "SET", "appendonly", "no"),
    ("KEYS", "*"),
    ("SCAN", "0"),
    ("INFO",),
    ("ACL", "LIST"),
    ("CLIENT", "LIST"),
    ("MONITOR",),
    ("MODULE", "LIST"),
    ("REPLICAOF", "NO", "ONE"),
    ("SHUTDOWN", "NOSAVE"),
    ("FLUSHALL",),
    ("MIGRATE", "h", "1", OURS, "0", "1"),
    ("DUMP", OURS),
    ("RENAME", OURS, "driftwarden:x"),
    ("PUBLISH", "channel", "x"),
    ("CLUSTER", "NODES"),
    ("GET", THEIRS),
    ("SET", "payroll", "x"),
    ("SET", "driftwarden", "x"),
    ("SET", "driftwarden2:x", "x"),
    ("XADD", THEIRS, "*", "a", "b"),
    ("XRANGE", THEIRS, "-", "+"),
    ("DEL", OURS, THEIRS),
    ("SMEMBERS", "payroll:models"),
]


@pytest.mark.parametrize("flavour", ["redis", "valkey"])
def test_whatever_is_not_named_is_denied(make_store: MakeStore, flavour: str) -> None:
    store = make_store(flavour)
    durable = flavour == "valkey"  # Redis 7.0 does not know WAITAOF
    with store.client() as direct:
        rules = access_rules("driftwarden", durable=durable)
        direct.execute_command("ACL", "SETUSER", "driftwarden", "on", ">pass", *rules)
    with Redis(port=store.port, username="driftwarden", password="pass", retry=NO_RETRY) as client:  # noqa: S106
        for command in DENIED:
            with pytest.raises(NoPermissionError):
                client.execute_command(*command)
        client.set(Keys("driftwarden").probe, "")
        assert client.xadd(OURS, {"a": "b"})
        if durable:
            assert client.waitaof(1, 0, 10_000)[0] == 1


@pytest.mark.parametrize("durable", [False, True])
def test_the_document_shows_the_rules(durable: bool) -> None:
    line = " ".join(access_rules("driftwarden", durable=durable))
    assert line in " ".join(DOCUMENT.read_text(encoding="utf-8").replace("\\\n", " ").split())
