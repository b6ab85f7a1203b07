"""What every release so far has stored is read by this one, and what a newer one has stored is refused by name."""

import base64
import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.domain.errors import CorruptedState
from service.domain.fitted_plan import fit
from service.domain.models import LOG_START
from service.domain.retraining.record import first_break
from service.domain.sent_columns import code_of
from service.domain.summaries import decode_panes
from tests.conformance.ports.conftest import Store
from tests.conformance.ports.documents import OTHER_MODEL, batch
from tests.conformance.ports.golden.expected import (
    BATCH,
    DELIVERY,
    MODEL,
    REFERENCE,
    REGISTRATION,
    UNTRACED,
    VERDICT,
)
from tests.conformance.ports.golden.retraining import (
    DIGESTS,
    ENTRIES,
    RETRAINING_FILES,
    RETRAINING_MODEL,
    RETRAINING_REGISTRATION,
)
from tests.conformance.ports.golden.schemas import (
    CITIES,
    SCHEMAS_BATCH,
    SCHEMAS_FILES,
    SCHEMAS_MODEL,
    SCHEMAS_REFERENCE,
    SCHEMAS_REGISTRATION,
)
from tests.conformance.ports.golden.state_files import FILES, load, put, state_of
from tests.conformance.ports.golden.summaries import (
    SUMMARIES_FILES,
    SUMMARIES_MODEL,
    SUMMARIES_REGISTRATION,
    TIMES,
    panes,
)

pytestmark = pytest.mark.anyio


def test_there_are_golden_files() -> None:
    assert [file.name for file in FILES][:2] == ["state-0.json", "state-1.json"]
    assert SUMMARIES_FILES[0].name == "summaries-2.json"
    assert SCHEMAS_FILES[0].name == "schemas-3.json"
    assert RETRAINING_FILES[0].name == "retraining-5.json"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_state_of_every_release_is_read(store: Store, file: Path) -> None:
    await load(file, store.redis, store.prefix)
    assert await store.registrations().models() == [MODEL]
    registration = await store.registrations().newest(MODEL)
    assert registration == REGISTRATION
    assert registration.plan.digest == REGISTRATION.plan.digest
    reference = await store.registrations().reference(registration)
    assert (reference.features, reference.rows.tobytes()) == (REFERENCE.features, REFERENCE.rows.tobytes())
    assert await store.verdicts().newest(MODEL) == VERDICT
    assert await store.deliveries().page(MODEL, 1, 9) == [DELIVERY]
    assert await store.deliveries().last(MODEL) == 5
    logged = await store.observations().read(MODEL, LOG_START, 9)
    identifiers = await store.observations().recent_identifiers(MODEL, logged[-1].position, 9)
    assert identifiers == [BATCH.identifier, UNTRACED.identifier]
    first, second = [each.batch for each in logged]
    for found, expected in ((first, BATCH), (second, UNTRACED)):
        assert found.rows.tobytes() == expected.rows.tobytes()
        assert (found.identifier, found.observed_at) == (expected.identifier, expected.observed_at)
        assert found.traceparent == expected.traceparent


@pytest.mark.parametrize("file", SUMMARIES_FILES, ids=lambda file: file.stem)
async def test_summaries_of_every_release_are_read(store: Store, file: Path) -> None:
    await load(file, store.redis, store.prefix)
    registration = await store.registrations().newest(SUMMARIES_MODEL)
    assert registration == SUMMARIES_REGISTRATION
    (logged,) = await store.observations().read(SUMMARIES_MODEL, LOG_START, 9)
    assert logged.batch.panes is not None
    fitted = fit(registration.plan, await store.registrations().reference(registration))
    found, expected = decode_panes(fitted, logged.batch.panes), decode_panes(fitted, panes())
    assert [(pane.begins_ms, pane.ends_ms, pane.summaries.rows) for pane in found] == [
        (TIMES[0], TIMES[5], 6),
        (TIMES[6], TIMES[9], 4),
    ]
    for one, other in zip(found, expected, strict=True):
        measured = [[each.statistic.tolist() for each in pane.summaries.measured(fitted)] for pane in (one, other)]
        assert measured[0] == measured[1]


@pytest.mark.parametrize("file", SCHEMAS_FILES, ids=lambda file: file.stem)
async def test_schemas_of_every_release_are_read(store: Store, file: Path) -> None:
    await load(file, store.redis, store.prefix)
    registration = await store.registrations().newest(SCHEMAS_MODEL)
    assert registration == SCHEMAS_REGISTRATION
    reference = await store.registrations().reference(registration)
    assert (reference.features, reference.labels) == (SCHEMAS_REFERENCE.features, SCHEMAS_REFERENCE.labels)
    assert reference.rows.tobytes() == SCHEMAS_REFERENCE.rows.tobytes()
    assert {text: code_of(text) for text in CITIES} == CITIES
    (logged,) = await store.observations().read(SCHEMAS_MODEL, LOG_START, 9)
    assert logged.batch.rows.tobytes() == SCHEMAS_BATCH.rows.tobytes()


async def test_what_earlier_releases_cannot_do_is_written_so_that_they_refuse_it(store: Store) -> None:
    (written,) = state_of(SCHEMAS_FILES[0])[f"{{{SCHEMAS_MODEL}}}:registrations"]["entries"]
    assert [base64.b64encode(each).decode() for each in (b"f", b"3")] in written[1]
    numbers = replace(REGISTRATION, model=OTHER_MODEL, revision=1)
    await store.registrations().register(numbers, REFERENCE)
    ((_, fields),) = await store.redis.xrange(store.keys.registrations(OTHER_MODEL))
    assert fields[b"f"] == b"1"


@pytest.mark.parametrize("file", RETRAINING_FILES, ids=lambda file: file.stem)
async def test_decisions_of_every_release_are_read_and_stay_a_chain(store: Store, file: Path) -> None:
    await load(file, store.redis, store.prefix)
    registration = await store.registrations().newest(RETRAINING_MODEL)
    assert registration == RETRAINING_REGISTRATION
    assert registration.plan.digest == RETRAINING_REGISTRATION.plan.digest
    lines = await store.retraining().page(RETRAINING_MODEL, 0, 9)
    assert [line.entry for line in lines] == ENTRIES
    assert tuple(line.digest for line in lines) == DIGESTS
    assert first_break(lines) is None
    assert not await store.retraining().append(ENTRIES[-1])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_it_is_continued_where_it_ended(store: Store, file: Path) -> None:
    await load(file, store.redis, store.prefix)
    position = await store.observations().append(MODEL, batch(1))
    assert await store.observations().newest_position(MODEL) == position
    assert not await store.verdicts().commit(VERDICT)
    assert not await store.deliveries().record(MODEL, DELIVERY)
    assert not await store.registrations().register(REGISTRATION, REFERENCE)


async def test_a_newer_format_is_refused_by_name_and_stops_no_other_model(store: Store) -> None:
    await load(FILES[-1], store.redis, store.prefix)
    newer = {
        store.keys.observations: 3,
        store.keys.verdicts: 2,
        store.keys.deliveries: 3,
        store.keys.registrations: 6,
    }
    for key, form in newer.items():
        newest = (await store.redis.xrevrange(key(MODEL), count=1))[0]
        number = int(newest[0].partition(b"-")[0]) + 1
        await store.redis.xadd(key(MODEL), {**newest[1], b"f": b"%d" % form}, id=f"{number}-0")
    for reading in (
        store.observations().read(MODEL, LOG_START, 9),
        store.verdicts().newest(MODEL),
        store.deliveries().page(MODEL, 1, 9),
        store.registrations().newest(MODEL),
    ):
        with pytest.raises(CorruptedState, match=r"of format [236], which a newer release wrote"):
            await reading
    await store.observations().append(OTHER_MODEL, batch(1))
    found = await store.observations().read(OTHER_MODEL, LOG_START, 9)
    assert np.array_equal(found[0].batch.rows, batch(1).rows)


def with_more_fields(node: Any) -> Any:
    """The same document as a release would write it that has added a field to each of its parts."""
    if isinstance(node, list):
        return [with_more_fields(each) for each in node]
    if not isinstance(node, dict):
        return node
    free = {"parameters"}  # whose names are the detector's, not the document's
    fields = {name: value if name in free else with_more_fields(value) for name, value in node.items()}
    return {**fields, "later": {"added": [1, None, "x"]}}


def written_by_a_newer_release(state: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(state)
    for value in changed.values():
        for _, fields in value.get("entries", ()):
            for field in fields:
                text = base64.b64decode(field[1])
                if text.startswith(b"{"):
                    field[1] = base64.b64encode(json.dumps(with_more_fields(json.loads(text))).encode()).decode()
            fields.append([base64.b64encode(b"later").decode(), ""])
    return changed


async def test_fields_that_a_newer_release_has_added_are_passed_over(store: Store) -> None:
    state = state_of(FILES[-1])
    newer = written_by_a_newer_release(state)
    assert newer != state
    await put(newer, store.redis, store.prefix)
    assert await store.registrations().newest(MODEL) == REGISTRATION
    assert await store.verdicts().newest(MODEL) == VERDICT
    assert await store.deliveries().page(MODEL, 1, 9) == [DELIVERY]
    first, second = await store.observations().read(MODEL, LOG_START, 9)
    assert [each.batch.identifier for each in (first, second)] == [BATCH.identifier, UNTRACED.identifier]
    assert first.batch.rows.tobytes() == BATCH.rows.tobytes()
    position = await store.observations().append(MODEL, batch(1))
    assert await store.observations().newest_position(MODEL) == position


async def test_a_field_that_a_newer_release_added_to_a_batch_is_passed_over(store: Store) -> None:
    log = store.observations()
    await log.append(MODEL, batch(1))
    ((_, fields),) = await store.redis.xrange(store.keys.observations(MODEL))
    await store.redis.xadd(store.keys.observations(MODEL), {**fields, b"later": b"x", b"i": b"other"})
    found = await log.read(MODEL, LOG_START, 9)
    assert found[1].batch.identifier == "other"
    assert np.array_equal(found[1].batch.rows, batch(1).rows)
