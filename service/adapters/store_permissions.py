"""What a user of the store must be allowed: every command that the service and its driver send, and its own keys.

The one list. docs/operations.md shows the rules it gives, and the suite of the ports runs under exactly these.
"""

LOGS = ("xadd", "xlen", "xrange", "xrevrange", "xtrim")
"""Observations, verdicts, deliveries, registrations."""
VALUES = ("set", "get", "del", "pexpire")
"""References, the probe of readiness, identifiers of batches, claims."""
MODELS = ("sadd", "smembers", "srem")
"""The list of models."""
CONNECTION = ("ping", "select")
"""AUTH and HELLO need no permission."""
CLUSTER = ("cluster|slots", "command", "asking")
"""How the driver finds its way in a cluster; of no use elsewhere, and of no harm."""
DURABLE = ("waitaof",)
"""For `fsync` acknowledgements only: a server before Redis 7.2 does not know it, and refuses a rule that names it."""


def access_rules(prefix: str, *, durable: bool = False) -> list[str]:
    """The rules of ACL SETUSER for a service whose keys begin with `prefix`; what is not named is denied."""
    commands = (*LOGS, *VALUES, *MODELS, *CONNECTION, *CLUSTER, *(DURABLE if durable else ()))
    return ["resetkeys", f"~{prefix}:*", "resetchannels", "-@all", *(f"+{command}" for command in commands)]
