"""Golden state of a model whose columns are more than numbers: a registration of format 3, and rows with codes.

python -m tests.conformance.ports.golden.schemas 3     writes schemas-3.json, and never over one that is there
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from service.adapters.embedded_store import embedded_store
from service.adapters.log import RedisObservationLog
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Keys, connection
from service.domain.models import LOG_START, Batch, ModelName, Reference
from service.domain.plan import DetectorPlan, Plan, WindowPlan
from service.domain.registration import Registration
from service.domain.schema import Column, DeclaredColumn, Kind, MismatchPlan, Role, Schema
from tests.conformance.ports.golden.expected import NOON
from tests.conformance.ports.golden.state_files import HERE, dump

SCHEMAS_FILES = sorted(HERE.glob("schemas-*.json"))
SCHEMAS_MODEL = ModelName("described")
_BERN, _GENF, _BASEL = 255359153653361.0, 81632501122987.0, 167954045233001.0
"""Codes, written out: rows hold them, and every release has to read them as the same categories."""
CITIES = {"Bern": _BERN, "Genf": _GENF}
_ROWS = np.column_stack([np.arange(100.0) / 8, [_BERN, _GENF] * 50, np.arange(100.0) % 2, [1.0, np.nan] * 50])
SCHEMAS_REFERENCE = Reference(("größe", "city", "score", "left"), _ROWS, ("left",))
SCHEMAS_DIGEST = "sha256:fd24f15172f16eee2968a796982637820b6e1b47e1996135ce31ee7686326f51"
SCHEMAS_REGISTRATION = Registration(
    revision=1,
    model=SCHEMAS_MODEL,
    features=SCHEMAS_REFERENCE.features,
    reference_digest=SCHEMAS_DIGEST,
    reference_rows=100,
    plan=Plan(
        WindowPlan(rows=50),
        (DetectorPlan("chi_square", {}, ("city",)),),
        schema_mismatch=MismatchPlan("count", "count", "refuse"),
    ),
    since=LOG_START,
    registered_at=NOON,
    schema=Schema(
        (
            Column("größe", minimum=0.0, maximum=12.375),
            Column("id", role=Role.IGNORE),
            Column("city", Kind.CATEGORICAL, binding=True, categories=("Bern", "Genf")),
            Column("score", Kind.BOOLEAN, Role.PREDICTION, binding=True),
            Column("left", Kind.INTEGER, Role.LABEL, missing=True, minimum=1.0, maximum=1.0),
        )
    ),
    declared=(
        DeclaredColumn("id", role=Role.IGNORE),
        DeclaredColumn("city", Kind.CATEGORICAL, categories=("Bern", "Genf")),
        DeclaredColumn("score", Kind.BOOLEAN, Role.PREDICTION),
        DeclaredColumn("left", None, Role.LABEL),
    ),
)
SCHEMAS_BATCH = Batch("described 1", np.array([[0.5, _GENF, 1.0, np.nan], [0.5, _BASEL, 0.0, np.nan]]), NOON, None, 1)


async def _written(url: str) -> dict[str, Any]:
    async with connection(url, 10.0) as redis:
        keys = Keys("golden")
        await RedisRegistrations(redis, keys).register(SCHEMAS_REGISTRATION, SCHEMAS_REFERENCE)
        log = RedisObservationLog(redis, keys, 100, retained_bytes=2**30, horizon=100)
        await log.append(SCHEMAS_MODEL, SCHEMAS_BATCH)
        return await dump(redis, "golden")


def main() -> None:
    file = HERE / f"schemas-{int(sys.argv[1])}.json"
    if file.exists():
        sys.exit(f"{file} is there already: what was once written is not rewritten")
    with tempfile.TemporaryDirectory() as directory, embedded_store(Path(directory)) as url:
        file.write_text(json.dumps(asyncio.run(_written(url)), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
