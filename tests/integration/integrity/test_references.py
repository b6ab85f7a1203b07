"""Case 51: what models are judged by is read again while it is used, and nothing is judged by what was changed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from service.domain.integrity.statement import Kind
from service.settings import IntegritySettings, TriggerSettings
from tests.integration.integrity.conftest import Applications
from tests.integration.integrity.watching import made
from tests.integration.service.conftest import Application
from tests.processes.traffic import SMALL_PLAN, payload, reference, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio
OFTEN = IntegritySettings(reference_seconds=1)


async def judged(app: Application, count: int) -> list[dict[str, Any]]:
    async def enough() -> list[dict[str, Any]]:
        verdicts = await app.verdicts()
        return verdicts if len(verdicts) >= count else []

    return await eventually_async(enough, f"{count} verdicts")


async def reference_is(app: Application, *, trusted: bool) -> dict[str, Any]:
    async def shown() -> dict[str, Any]:
        found = (await app.client.get("/v1/integrity")).json()["references"]
        return dict(found[0]) if found and found[0]["trusted"] is trusted else {}

    return await eventually_async(shown, f"the reference is {'' if trusted else 'not '}trusted")


async def counted(app: Application, line: str) -> bool:
    return line in (await app.client.get("/metrics")).text


async def test_a_reference_that_is_edited_in_the_store_judges_nothing_until_it_is_registered_again(
    applications: Applications,
) -> None:
    """What was fitted on it is in memory, and would go on."""
    async with applications(integrity=OFTEN) as app:
        await app.register()
        await app.observe(payload(rows(1, 50)))
        (verdict,) = await judged(app, 1)
        shown = await reference_is(app, trusted=True)
        assert shown["reference_digest"] == verdict["reference_digest"]
        key = app.key("churn", f"reference:{verdict['reference_digest']}")
        stored = bytearray(await app.redis.get(key))
        stored[-1] ^= 1
        await app.redis.set(key, bytes(stored))
        assert "changed" in (await reference_is(app, trusted=False))["reason"]
        assert await counted(app, 'driftwarden_reference_trusted{model="churn"} 0.0')
        assert (await app.client.get("/readyz/integrity")).json()["targets"] == [
            {"name": "reference of churn", "state": "not trusted"}
        ]
        assert (await app.client.get("/readyz")).status_code == 200  # other models are judged as ever
        asked = (await app.client.get("/v1/models/churn")).json()
        assert asked["type"] == "urn:driftwarden:problem:reference-not-trusted"

        assert (await app.observe(payload(rows(2, 50)))).status_code == 200

        async def has_been_refused() -> bool:
            return await counted(app, 'error="ReferenceNotTrusted"')

        await eventually_async(has_been_refused, "an evaluation was refused")
        assert len(await app.verdicts()) == 1

        assert (await app.client.put("/v1/models/churn/reference", json=reference())).status_code == 200
        await reference_is(app, trusted=True)
        assert len(await judged(app, 2)) == 2  # with the rows that waited


async def test_a_plan_that_is_edited_in_the_store_judges_nothing(applications: Applications) -> None:
    """A revision is registered once; so the same one with another plan was put there past the service."""
    async with applications(integrity=OFTEN) as app:
        await app.register()
        await app.observe(payload(rows(1, 50)))
        await judged(app, 1)
        key = app.key("churn", "registrations")
        entries = await app.redis.xrange(key)
        place, fields = entries[-1]
        edited = fields[b"r"].replace(b'"rows":50', b'"rows":25')
        assert edited != fields[b"r"]
        await app.redis.delete(key)
        await app.redis.xadd(key, {**fields, b"r": edited}, id=place)
        assert "another plan" in (await reference_is(app, trusted=False))["reason"]
        await app.observe(payload(rows(2, 50)))

        async def has_been_refused() -> bool:
            return await counted(app, 'error="ReferenceNotTrusted"')

        await eventually_async(has_been_refused, "an evaluation was refused")
        assert len(await app.verdicts()) == 1
        assert (await app.client.put("/v1/models/churn/plan", json=SMALL_PLAN)).status_code == 200
        await reference_is(app, trusted=True)
        await judged(app, 2)


async def test_a_model_that_is_deleted_is_no_longer_read_again(applications: Applications) -> None:
    async with applications(integrity=OFTEN) as app:
        await app.register()
        await app.observe(payload(rows(1, 50)))
        await judged(app, 1)
        await reference_is(app, trusted=True)
        await app.client.delete("/v1/models/churn")

        async def is_forgotten() -> bool:
            return (await app.client.get("/v1/integrity")).json()["references"] == []

        await eventually_async(is_forgotten, "it is forgotten")
        assert not await counted(app, "driftwarden_reference_trusted{")


async def test_no_job_is_made_from_a_template_that_was_edited_since_it_was_read(
    applications: Applications, tmp_path: Path
) -> None:
    template = tmp_path / "job.yaml"
    document = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {}}
    template.write_text(yaml.safe_dump(document))
    groups = {"trigger": TriggerSettings(template=template, first_retry_seconds=0.1, longest_retry_seconds=0.1)}
    async with applications(**groups) as app:
        await app.register()

        async def state() -> str:
            (shown,) = (await app.client.get("/v1/integrity")).json()["targets"]
            assert (shown["kind"], shown["mode"]) == (Kind.TEMPLATE.value, "observe")
            return str(shown["state"])

        async def is_tampered() -> bool:
            return await state() == "tampered"

        assert await state() == "verified"
        template.write_text(yaml.safe_dump(document | {"spec": {"parallelism": 500}}))
        await eventually_async(is_tampered, "the edit is found")
        await app.observe(payload(rows(3, 50, shift=3.0)))
        (verdict,) = await judged(app, 1)
        assert verdict["finding"] == "DRIFT"

        async def was_held_back() -> bool:
            return await counted(app, 'driftwarden_delivery_failures_total{model="churn"}')

        await eventually_async(was_held_back, "the delivery was tried")
        assert (await app.verdicts())[0]["action"]["outcome"] is None
        assert (await app.client.get("/readyz")).status_code == 200
    async with applications(**groups) as app:  # whoever starts it anew has read what is there now

        async def is_delivered() -> bool:
            return (await app.verdicts())[0]["action"]["outcome"] is not None

        await eventually_async(is_delivered, "the action is delivered")


async def test_no_job_is_made_from_a_template_that_is_not_signed_as_one(
    applications: Applications, tmp_path: Path
) -> None:
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {}}
    template = made(tmp_path, {"job.yaml": yaml.safe_dump(job).encode()})
    trigger = TriggerSettings(template=template.root / "job.yaml", first_retry_seconds=0.1, longest_retry_seconds=0.1)
    watched = IntegritySettings(targets=template.targets(kind="template"))
    async with applications(trigger=trigger, integrity=watched) as app:
        await app.register()
        await app.observe(payload(rows(3, 50, shift=3.0)))
        await judged(app, 1)

        async def was_held_back() -> bool:
            return await counted(app, 'driftwarden_delivery_failures_total{model="churn"}')

        await eventually_async(was_held_back, "the delivery was tried")
        assert (await app.verdicts())[0]["action"]["outcome"] is None
        template.sign(kind=Kind.TEMPLATE)

        async def is_delivered() -> bool:
            return (await app.verdicts())[0]["action"]["outcome"] is not None

        await eventually_async(is_delivered, "the action is delivered")
