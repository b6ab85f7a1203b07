"""What the API server says decides whether trying again helps."""

import pytest

from service.adapters.kubernetes_api import Answer, _object, _seconds
from service.adapters.trigger.target import refusal
from service.domain.errors import TriggerRejected, TriggerUnavailable


@pytest.mark.parametrize("status", [401, 403, 404, 408, 409, 410, 429, 500, 502, 503, 504])
def test_what_somebody_may_still_put_right_is_tried_again(status: int) -> None:
    refused = refusal("create Job x", Answer(status, {"message": "not now"}, "", 3.0))
    assert isinstance(refused, TriggerUnavailable)
    assert refused.retryable
    assert refused.retry_after == 3.0
    assert str(refused) == f"the Kubernetes API refused to create Job x ({status}): not now"


@pytest.mark.parametrize("status", [400, 405, 406, 413, 415, 422])
def test_what_will_be_refused_again_is_rejected(status: int) -> None:
    refused = refusal("create Job x", Answer(status, {}, "plain words", None))
    assert isinstance(refused, TriggerRejected)
    assert not refused.retryable
    assert "plain words" in str(refused)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("1", 1.0),
        ("2.5", 2.5),
        (None, None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_read_where_it_is_a_number_of_seconds(header: str | None, seconds: float | None) -> None:
    assert _seconds(header) == seconds


@pytest.mark.parametrize("text", ["", "<html>bad gateway</html>", "[1]", "null"])
def test_an_answer_that_is_no_json_object_is_no_error(text: str) -> None:
    assert _object(text) == {}


def test_what_is_written_down_of_an_answer_is_bounded() -> None:
    answer = Answer(422, {"message": "spec is wrong: " + "a" * 10**6}, "", None)
    said = str(refusal("create Job a", answer))
    assert said.startswith("the Kubernetes API refused to create Job a (422): spec is wrong: a")
    assert len(said) < 1_100
