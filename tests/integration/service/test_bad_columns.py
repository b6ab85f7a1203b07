"""The list of bad inputs once more, against a model with categories, truth values and declared kinds.

Numbers are those of the list (see test_bad_input.py). What does no harm among numbers must not do any here either.
"""

import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from service.domain.sent_columns import code_of
from tests.integration.service.test_overload import resident_bytes
from tests.processes.payloads import raw, tensor
from tests.processes.services import ServiceProcess
from tests.processes.waiting import eventually

URL = "/v1/models/shop"
JSON, CSV, ARROW, BINARY = (
    "application/json",
    "text/csv",
    "application/vnd.apache.arrow.stream",
    "application/octet-stream",
)
DECLARED = [{"name": "member", "kind": "boolean"}, {"name": "visits", "kind": "integer"}]
COLUMNS = {
    "amount": [0.5 + number for number in range(200)],
    "city": ["Bern", "Genf"] * 100,
    "member": [0, 1] * 100,
    "visits": list(range(200)),
}
GOOD = [1.5, "Bern", True, 3]
PERSONAL = "Erika Mustermann"
PLAN: dict[str, Any] = {"window": {"rows": 20_000}, "detectors": [{"name": "chi_square", "features": ["city"]}]}
COUNTS = {"columns": "count", "kinds": "count", "categories": "count"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    running = ServiceProcess(tmp_path_factory.mktemp("bad-columns"))
    running.start()
    with running.client() as client:
        declared = {"columns": json.dumps(DECLARED)}
        client.put(f"{URL}/reference", json={"columns": COLUMNS}, params=declared).raise_for_status()
        client.put(f"{URL}/plan", json=PLAN).raise_for_status()
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.said()
    assert PERSONAL not in running.said()


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[httpx.Client]:
    with service.client() as asked:
        yield asked
        assert asked.post(f"{URL}/observations", json={"rows": [GOOD]}).status_code == 200, "the service is unharmed"


def posted(client: httpx.Client, content: Any, content_type: str = JSON) -> httpx.Response:
    answer = client.post(f"{URL}/observations", content=content, headers={"Content-Type": content_type})
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.content) < 10_000
    assert PERSONAL not in answer.text
    return answer


def places(answer: httpx.Response) -> list[str]:
    return [error["place"] for error in answer.json()["errors"]]


def row(place: int, value: str) -> str:
    """A document of two rows, the second with this in one column."""
    cells = [json.dumps(each) for each in GOOD]
    return f'{{"rows": [{json.dumps(GOOD)}, [{", ".join([*cells[:place], value, *cells[place + 1 :]])}]]}}'


NO_NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", '"nan"', '"Infinity"', "null", '"1e5"', "[1]", "{}", '""']


@pytest.mark.parametrize("value", [*NO_NUMBERS, "true", "1" * 4_000, f'"{PERSONAL}"'])
def test_21_23_what_is_no_number_is_told_by_its_row(client: httpx.Client, value: str) -> None:
    answer = posted(client, row(0, value))
    assert answer.status_code == 422
    assert places(answer) == ["rows[1][0]"]


@pytest.mark.parametrize("value", ["2", "0.5", '"yes"', '"1"', '""', "null", "[]", "NaN", "1e400"])
def test_21_what_is_no_truth_value_is_told_by_its_row(client: httpx.Client, value: str) -> None:
    answer = posted(client, row(2, value))
    assert answer.status_code == 422
    assert places(answer) == ["rows[1][2]"]


@pytest.mark.parametrize("value", ["0.5", '"3"', "true", "null", "1e-3"])
def test_21_what_is_no_whole_number_is_told_by_its_row(client: httpx.Client, value: str) -> None:
    answer = posted(client, row(3, value))
    assert answer.status_code == 422
    assert places(answer) == ["rows[1][3]"]


@pytest.mark.parametrize("value", ["NaN", "1e400", "null", "[]", "{}", "1" * 4_000])
def test_21_what_is_no_category_is_told_by_its_row(client: httpx.Client, value: str) -> None:
    answer = posted(client, row(1, value))
    assert answer.status_code == 422
    assert places(answer) == ["rows[1][1]"]


@pytest.mark.parametrize("value", ["NaN", "1e400", "null", "[1]", "{}"])
def test_21_what_is_counted_is_counted_and_the_rest_is_still_refused(client: httpx.Client, value: str) -> None:
    client.put(f"{URL}/plan", json={**PLAN, "schema_mismatch": COUNTS}).raise_for_status()
    try:
        assert posted(client, row(0, f'"{PERSONAL}"')).status_code == 200
        assert posted(client, row(0, value)).status_code == 422
    finally:
        client.put(f"{URL}/plan", json=PLAN).raise_for_status()


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ('{"rows": [[1.5, "Bern", true, 3]], "rows": [[1.5, "Bern", true, 3]]}', 422),
        ('{"columns": {"amount": [1], "city": ["Bern"], "member": [1], "visits": [3], "__proto__": ["x"]}}', 422),
        ('{"columns": {"amount": [1], "city": ["Bern"], "member": [1], "visits": [3], "visits": [3]}}', 422),
        (json.dumps({"columns": {str(number): ["x"] for number in range(10_000)}}), 422),
        (json.dumps({"instances": [{str(number): "x" for number in range(10_000)}]}), 422),
        ('{"instances": [' + '["x"], ' * 10_000 + '["x", "y"]]}', 422),
        ('{"rows": [["x"], ["x", "y"]]}', 422),
        ('{"rows": [[' + '"x",' * 500_000 + '"x"]]}', 422),
        ('{"instances": ' + "[" * 100_000 + '"x"' + "]" * 100_000 + "}", 400),
        ('{"rows": [[1.5, "Bern", true, ' + "1" * 5_000 + "]]}", 400),
        ('{"rows": [[1.5, "\ud800", true, 3]]}'.encode("utf-8", "surrogatepass"), 400),
        ('{"rows": [[1.5, "\\ud800", true, 3]]}', 400),
    ],
    ids=range(12),
)
def test_22_23_24_25_documents(client: httpx.Client, content: str | bytes, status: int) -> None:
    assert posted(client, content).status_code == status


STRANGE = ["a\0b", "\u202eevil", "x" * 10**6, "", "cafe\u0301", "'; DROP TABLE", "=1+1", "a\r\nb"]


@pytest.mark.parametrize("category", STRANGE, ids=range(len(STRANGE)))
def test_25_strange_categories_are_unseen_ones_among_observations(client: httpx.Client, category: str) -> None:
    assert posted(client, row(1, json.dumps(category))).status_code == 200


@pytest.mark.parametrize("category", ["a\0b", "\u202eevil", "x" * 201, "a\r\nb"], ids=range(4))
def test_25_and_none_of_a_reference(client: httpx.Client, category: str) -> None:
    columns = {"amount": [1.5] * 100, "city": [category, "Bern"] * 50}
    answer = client.put("/v1/models/strange/reference", json={"columns": columns})
    assert (answer.status_code, places(answer)) == (422, ["features[1]"])
    assert len(answer.content) < 1_000


def test_26_a_flood_of_categories_is_bounded(service: ServiceProcess, client: httpx.Client) -> None:
    before, memory = client.get("/metrics").text.splitlines(), resident_bytes(service.pid)
    seen = counted("\n".join(before))
    for number in range(5):
        lines = [f"1,{PERSONAL} {number} {each},1,1" for each in range(60_000)]
        assert posted(client, "\n".join(["amount,city,member,visits", *lines]), CSV).status_code == 200
    found = eventually(lambda: client.get(f"{URL}/verdicts").json()["verdicts"], "a verdict")
    assert found[0]["finding"] == "DRIFT"
    after = client.get("/metrics").text
    assert counted(after) - seen == 300_000
    assert len(after.splitlines()) <= len(before) + 100
    assert resident_bytes(service.pid) - memory < 256 * 2**20


def counted(metrics: str) -> float:
    begins = 'driftwarden_schema_mismatches_total{mismatch="unseen_category",model="shop"} '
    return sum(float(line.removeprefix(begins)) for line in metrics.splitlines() if line.startswith(begins))


def test_26_a_reference_of_too_many_categories_is_refused(client: httpx.Client) -> None:
    columns = {"amount": [1.5] * 2_000, "name": [f"{PERSONAL} {number}" for number in range(2_000)]}
    answer = client.put("/v1/models/flood/reference", json={"columns": columns})
    assert (answer.status_code, places(answer)) == (422, ["features[1]"])
    assert PERSONAL not in answer.text


def arrow(city: Any, **options: Any) -> bytes:
    """A stream of two rows with these cities."""
    file = io.BytesIO()
    columns = {
        "amount": pa.array([1.5, 2.5]),
        "city": city,
        "member": pa.array([True, False]),
        "visits": pa.array([1, 2]),
    }
    batch = pa.record_batch(columns)
    with pa.ipc.new_stream(file, batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as stream:
        stream.write_batch(batch)
    return file.getvalue()


def out_of_range() -> Any:
    """A dictionary of two words, and a third."""
    words, places_of = pa.array(["Bern", "Genf"]), pa.array([0, 7], pa.int32())
    return pa.DictionaryArray.from_arrays(places_of, words, safe=False)


def bad_offset() -> bytes:
    """Text that ends beyond its buffer."""
    good, bad = (np.array([0, 4, end], np.int32).tobytes() for end in (8, 2**30))
    stream = arrow(pa.array(["Bern", "Genf"]))
    assert stream.count(good) == 1
    return stream.replace(good, bad)


ARROWS = [
    (arrow(pa.array(["Bern", "Genf"])), 200),
    (arrow(pa.array(["Bern", "Genf"]).dictionary_encode()), 200),
    (arrow(pa.array(["Bern", None])), 422),
    (arrow(out_of_range()), 400),
    (bad_offset(), 400),
    (arrow(pa.array(["Bern", "Genf"]).dictionary_encode(), compression="zstd"), 400),
    (arrow(pa.array(["Bern", "Genf"]).dictionary_encode(), compression="lz4"), 400),
    (arrow(pa.array([["Bern"], ["Genf"]])), 422),
    (arrow(pa.array([1, 2]).dictionary_encode()), 422),
    (arrow(pa.array([b"Bern", b"Genf"])), 422),
    (arrow(pa.array(["Bern", "Genf"]))[:-30], 400),
]


@pytest.mark.parametrize(("content", "status"), ARROWS, ids=range(len(ARROWS)))
def test_32_33_text_in_arrow_streams(client: httpx.Client, content: bytes, status: int) -> None:
    assert posted(client, content, ARROW).status_code == status


def v2(packed: bytes, shape: list[int]) -> bytes:
    numbers = {"amount": "FP64", "member": "BOOL", "visits": "INT64"}
    blobs = {name: raw(kind, np.ones(1)) for name, kind in numbers.items()}
    described = [tensor("city", "BYTES", shape, len(packed))]
    described += [tensor(name, kind, [1], len(blobs[name])) for name, kind in numbers.items()]
    return json.dumps({"inputs": described}).encode() + packed + b"".join(blobs.values())


TENSORS = [
    (v2(raw("BYTES", [b"Bern"]), [1]), 200),
    (v2(raw("BYTES", [b"\xff\xfe"]), [1]), 200),  # not UTF-8: an unseen category
    (v2(raw("BYTES", [b""]), [1]), 200),
    (v2(raw("BYTES", [b"Bern", b"Genf"]), [1]), 422),
    (v2(raw("BYTES", [b"Bern", b"Genf"]), [1, 2]), 422),
    (v2(b"\xff\xff\xff\x7fBern", [1]), 422),
    (v2(b"", [1]), 422),
    (v2(b"", [2**39, 2**39]), 422),
]


@pytest.mark.parametrize(("content", "status"), TENSORS, ids=range(len(TENSORS)))
def test_34_text_in_binary_tensors(client: httpx.Client, content: bytes, status: int) -> None:
    assert posted(client, content, BINARY).status_code == status


def test_61_what_is_wrong_with_a_logged_event_is_told_without_its_text(
    service: ServiceProcess, client: httpx.Client
) -> None:
    for instances in ([[PERSONAL, "Bern", True, 3]], [{"amount": PERSONAL, "city": "Bern", "member": 1, "visits": 3}]):
        event = {
            "specversion": "1.0",
            "id": str(code_of(str(instances))),
            "source": "x",
            "type": "x.request",
            "inferenceservicename": "shop",
            "data": {"instances": instances},
        }
        headers = {"Content-Type": "application/cloudevents+json"}
        assert client.post("/v1/cloudevents", content=json.dumps(event), headers=headers).status_code == 200
    eventually(lambda: "a logged request of model shop is not observed" in service.said(), "it is complained of")
