"""A batch that is sent again, at once and across a restart, counts once; another body under its name never does."""

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.integration.store.rows import distinct_rows, windows
from tests.integration.store.senders import WINDOW, register, verdicts, windows_of
from tests.processes.fixtures import MakeService, MakeStore
from tests.processes.services import ServiceProcess
from tests.processes.traffic import numbered
from tests.processes.waiting import eventually

BATCHES, ROWS_EACH, MOST_SENDERS = 150, 5, 5
KEEP_ALL = {"DRIFT_STORE__KEPT_BATCHES": "90000", "DRIFT_EVALUATION__POLL_SECONDS": "0.1"}
OBSERVATIONS = "/v1/models/churn/observations"


def send(client: httpx.Client, service: ServiceProcess, number: int, first: int) -> httpx.Response:
    """Until it is answered by an acknowledgement or a conflict, as a sender does that lost the answer."""

    def attempt() -> httpx.Response | None:
        body, key = {"rows": numbered(first, ROWS_EACH)}, {"Idempotency-Key": f"batch {number}"}
        try:
            answer = client.post(f"{service.url}{OBSERVATIONS}", json=body, headers=key)
        except httpx.TransportError:
            return None
        return answer if answer.status_code in {200, 409} else None

    answered = eventually(attempt, "an answer")
    assert answered is not None
    return answered


def test_a_batch_that_is_retried_at_once_and_across_a_restart_counts_once(
    make_store: MakeStore, make_service: MakeService
) -> None:
    store = make_store()
    service = make_service(DRIFT_STORE__URL=store.url, **KEEP_ALL)
    service.start()
    with service.client() as client:
        register(client)
    draw = random.Random(4)  # noqa: S311 - the order of retries is no secret
    sends = [number for number in range(BATCHES) for _ in range(draw.randint(1, MOST_SENDERS))]
    sends.sort(key=lambda number: number + draw.random() * 10)
    bodies = list[httpx.Response]()
    with httpx.Client(timeout=30, trust_env=False) as client:

        def retry(number: int) -> None:
            bodies.append(send(client, service, number, number * ROWS_EACH))

        with ThreadPoolExecutor(12) as senders:
            answers = [senders.submit(retry, number) for number in sends]
            try:
                eventually(lambda: len(bodies) > len(sends) // 2, "half of it is acknowledged")
                service.kill()
                service.start()
                for answer in answers:
                    answer.result(60)
                # And all of them once more, to the service that was started after.
                list(senders.map(retry, range(BATCHES)))
            finally:
                senders.shutdown(wait=False, cancel_futures=True)
    assert {answer.status_code for answer in bodies} == {200}
    assert {(answer.json()["batch"], answer.json()["rows"]) for answer in bodies} == {
        (f"batch {number}", ROWS_EACH) for number in range(BATCHES)
    }
    with service.client() as client, store.client() as direct:
        found = windows_of(client, BATCHES * ROWS_EACH // WINDOW)
        assert sum(window["rows"] for window in found) == BATCHES * ROWS_EACH
        assert sorted(distinct_rows(direct)) == [float(number) for number in range(BATCHES * ROWS_EACH)]
        assert len(list(windows(direct, WINDOW, 3))) == len(verdicts(client)) == len(found)


def test_another_body_under_a_name_is_a_conflict_across_replicas_and_restarts(
    make_store: MakeStore, make_service: MakeService
) -> None:
    store = make_store()
    replicas = [make_service(DRIFT_STORE__URL=store.url, **KEEP_ALL) for _ in range(2)]
    for replica in replicas:
        replica.start()
    with replicas[0].client() as client:
        register(client)
    with httpx.Client(timeout=30, trust_env=False) as client:
        first = send(client, replicas[0], 1, 0)
        for replica in replicas:
            assert_conflict(send(client, replica, 1, 100))
        assert send(client, replicas[1], 1, 0).json() == first.json()
        replicas[0].kill()
        replicas[0].start()
        assert_conflict(send(client, replicas[0], 1, 100))
        assert send(client, replicas[0], 1, 0).json() == first.json()
    with store.client() as direct:
        assert distinct_rows(direct) == [float(number) for number in range(ROWS_EACH)]
        assert direct.xlen("driftwarden:{churn}:observations") == 1


def assert_conflict(answer: httpx.Response) -> None:
    assert answer.status_code == 409, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "retry-after" not in answer.headers
    document: dict[str, Any] = answer.json()
    assert document["type"] == "urn:driftwarden:problem:conflicting-batch"
