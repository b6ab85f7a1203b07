"""Keys for the callers of a service under test, and the file that says what each may do."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.adapters.access.callers_file import line_of
from service.domain.access import KEY_BYTES, Verb, new_key

MAY: Mapping[str, tuple[list[Verb], list[str]]] = {
    "pods": ([Verb.INGEST], ["fraud*"]),
    "dashboard": ([Verb.READ], ["*"]),
    "owner": ([Verb.MANAGE, Verb.READ], ["fraud"]),
    "administrator": (list(Verb), ["*"]),
    "prometheus": ([Verb.METRICS], ["*"]),
}


@dataclass(frozen=True, slots=True)
class Callers:
    """Everybody's key, by name."""

    file: Path
    keys: Mapping[str, str]

    def as_caller(self, name: str) -> dict[str, str]:
        return bearer(self.keys[name])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def make_key() -> str:
    return new_key(secrets.token_bytes(KEY_BYTES))


def write_callers(file: Path) -> Callers:
    """A key for each of `MAY`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    keys = {name: make_key() for name in MAY}
    file.write_text("".join(f"{line_of(name, keys[name], *MAY[name])}\n" for name in MAY), encoding="utf-8")
    return Callers(file, keys)
