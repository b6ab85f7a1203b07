"""Golden state of a model that keeps summaries in place of rows: entries of format 2.

python -m tests.conformance.ports.golden.summaries 2     writes summaries-2.json, and never over one that is there
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
from service.domain.fitted_plan import fit
from service.domain.models import LOG_START, Batch, ModelName
from service.domain.plan import DetectorPlan, Plan, WindowPlan
from service.domain.registration import Registration
from service.domain.summaries import encode_panes, panes_of
from service.domain.windows import NO_ROWS
from tests.conformance.ports.golden.expected import NOON, REFERENCE, REFERENCE_DIGEST
from tests.conformance.ports.golden.state_files import HERE, dump

SUMMARIES_FILES = sorted(HERE.glob("summaries-*.json"))
SUMMARIES_MODEL = ModelName("summed")
EVERY_MS = 60_000
SUMMARIES_REGISTRATION = Registration(
    revision=1,
    model=SUMMARIES_MODEL,
    features=REFERENCE.features,
    reference_digest=REFERENCE_DIGEST,
    reference_rows=100,
    plan=Plan(
        WindowPlan(None, every_seconds=60, keep="summaries"),
        (DetectorPlan("kolmogorov_smirnov"), DetectorPlan("population_stability_index")),
    ),
    since=LOG_START,
    registered_at=NOON,
)
ROWS = np.arange(30.0).reshape(10, 3) * 7
TIMES = np.arange(10) * 10_000 + 1_772_366_400_000
"""Of two windows: six rows and four."""


def panes() -> bytes:
    """As this release writes them; an earlier one may have written other bytes for the same."""
    return encode_panes(panes_of(fit(SUMMARIES_REGISTRATION.plan, REFERENCE), ROWS, TIMES, EVERY_MS))


async def _written(url: str) -> dict[str, Any]:
    async with connection(url, 10.0) as redis:
        keys = Keys("golden")
        await RedisRegistrations(redis, keys).register(SUMMARIES_REGISTRATION, REFERENCE)
        log = RedisObservationLog(redis, keys, 100, retained_bytes=2**30, horizon=100)
        await log.append(SUMMARIES_MODEL, Batch("summed 1", NO_ROWS, NOON, None, 1, panes=panes()))
        return await dump(redis, "golden")


def main() -> None:
    file = HERE / f"summaries-{int(sys.argv[1])}.json"
    if file.exists():
        sys.exit(f"{file} is there already: what was once written is not rewritten")
    with tempfile.TemporaryDirectory() as directory, embedded_store(Path(directory)) as url:
        file.write_text(json.dumps(asyncio.run(_written(url)), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
