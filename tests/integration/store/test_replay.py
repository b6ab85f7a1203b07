"""The log judged once more gives the same verdicts and actions, to the bit: only the time of deciding differs."""

import json
from typing import Any

from redis import Redis

from tests.integration.store.senders import WINDOW, register, windows_of
from tests.processes.fixtures import MakeService, MakeStore
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually

PLANS: dict[str, dict[str, Any]] = {
    "tumbling": {"window": {"rows": WINDOW}},
    "sliding": {"window": {"rows": WINDOW, "step": 20}},
    "sampled": {"window": {"rows": WINDOW, "sample_rows": 30}},
}
DETECTORS = [{"name": "kolmogorov_smirnov"}, {"name": "maximum_mean_discrepancy"}]
BATCHES, ROWS_EACH = 40, 21


def decided(direct: Redis, model: str) -> list[dict[str, Any]]:
    """All of each verdict but the time at which it was decided."""
    found = [json.loads(fields[b"v"]) for _, fields in direct.xrange(f"driftwarden:{{{model}}}:verdicts")]
    for verdict in found:
        del verdict["decided_at"]
    return found


def test_what_is_judged_again_is_the_same_bit_for_bit_under_the_same_names(
    make_store: MakeStore, make_service: MakeService
) -> None:
    """As after a fail-over that lost the verdicts: they are computed again, by a process that knows nothing of them."""
    store = make_store()
    settings = {"DRIFT_STORE__URL": store.url, "DRIFT_STORE__KEPT_BATCHES": "90000"}
    first, second = (make_service("serve", **settings) for _ in range(2))
    first.start()
    with first.client() as client, store.client() as direct:
        for model, plan in PLANS.items():
            register(client, model, {**plan, "detectors": DETECTORS, "response": {"confirm": 1, "out_of": 1}})
            for number in range(BATCHES):
                body = payload(rows(number, ROWS_EACH, shift=number % 4 / 4))
                headers = {"Idempotency-Key": f"batch {number}"}
                client.post(f"/v1/models/{model}/observations", json=body, headers=headers).raise_for_status()
        windows_of(client, BATCHES * ROWS_EACH // WINDOW, "tumbling")
        counts = {"tumbling": BATCHES * ROWS_EACH // WINDOW, "sliding": (BATCHES * ROWS_EACH - WINDOW) // 20 + 1}
        counts["sampled"] = counts["tumbling"]
        eventually(lambda: all(len(decided(direct, model)) == count for model, count in counts.items()), "all verdicts")
        before = {model: decided(direct, model) for model in PLANS}
        first.kill()
        delivered = {model: direct.xlen(f"driftwarden:{{{model}}}:deliveries") for model in PLANS}
        for model in PLANS:
            direct.delete(f"driftwarden:{{{model}}}:verdicts")
        second.start()
        eventually(lambda: all(len(decided(direct, model)) == count for model, count in counts.items()), "all again")
        for model, verdicts in before.items():
            assert decided(direct, model) == verdicts
            assert any(verdict["action"] for verdict in verdicts)
            assert delivered[model] <= direct.xlen(f"driftwarden:{{{model}}}:deliveries") <= len(verdicts)
