"""Everything that goes wrong is an RFC 9457 document, and every error of ours has its status."""

import json
from http import HTTPStatus

import pytest

from service.domain import errors as domain
from service.domain.errors import DriftwardenError, Fault, InvalidInput, Overloaded
from service.http.errors import _PROBLEMS, MAXIMUM_FAULTS, MEDIA_TYPE, _ours, place, problem

INTERNAL = {
    domain.BrokenRecord,
    domain.InvalidConfiguration,
    domain.StoreLost,
    domain.ParcelRefused,
    domain.ParcelTooLarge,
    domain.SinkUnavailable,
    domain.SinkRefused,
    domain.ArtifactRefused,
    domain.UnusableSignature,
    domain.UntrustedSigner,
    domain.NotSigned,
    domain.RolledBack,
    domain.ArtifactTampered,
    domain.ContentRefused,
    domain.ArtifactUnreadable,
    domain.UnsignableArtifact,
    DriftwardenError,
}
"""Never the answer to a request."""

ERRORS = [each for each in vars(domain).values() if isinstance(each, type) and issubclass(each, DriftwardenError)]


@pytest.mark.parametrize("kind", [each for each in ERRORS if each not in INTERNAL])
def test_every_error_that_a_request_can_meet_has_a_status(kind: type[DriftwardenError]) -> None:
    assert kind in _PROBLEMS


def test_titles_and_types_are_one_to_one() -> None:
    assert len({name for _, name, _ in _PROBLEMS.values()}) == len(_PROBLEMS)


@pytest.mark.parametrize("kind", [each for each in ERRORS if each not in INTERNAL])
def test_what_is_retryable_is_the_storm_of_others_and_never_the_callers_fault(kind: type[DriftwardenError]) -> None:
    status = _PROBLEMS[kind][0]
    retried = {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
    changed_by_the_caller = {
        domain.ConflictingBatch,
        domain.OutdatedSummaries,
        domain.CompanionModel,
        domain.RetrainingRefused,
        domain.WrongMoment,
    }
    assert kind.retryable == (status in retried and kind not in changed_by_the_caller)


def test_a_problem_has_the_members_of_the_rfc_and_its_faults() -> None:
    response = problem(HTTPStatus.NOT_FOUND, "x", "Title", "Detail", (Fault("rows[1]", "is wrong"),))
    document = json.loads(bytes(response.body))
    assert response.headers["content-type"] == MEDIA_TYPE
    assert document == {
        "type": "urn:driftwarden:problem:x",
        "title": "Title",
        "status": 404,
        "detail": "Detail",
        "errors": [{"place": "rows[1]", "message": "is wrong"}],
    }


def test_a_problem_stays_small() -> None:
    faults = tuple(Fault(f"rows[{index}]", "is wrong") for index in range(1000))
    document = json.loads(bytes(problem(HTTPStatus.BAD_REQUEST, "x", "T", "D", faults).body))
    assert len(document["errors"]) == MAXIMUM_FAULTS


@pytest.mark.anyio
async def test_who_may_try_again_is_told_when() -> None:
    response = await _ours(None, Overloaded("full", 4.2))  # type: ignore[arg-type]
    assert (response.status_code, response.headers["retry-after"]) == (429, "5")


@pytest.mark.anyio
async def test_who_may_not_is_not() -> None:
    response = await _ours(None, InvalidInput(Fault("body", "is wrong")))  # type: ignore[arg-type]
    assert (response.status_code, "retry-after" in response.headers) == (400, False)


@pytest.mark.anyio
async def test_an_error_without_a_place_at_this_edge_says_nothing_of_itself() -> None:
    response = await _ours(None, domain.InvalidConfiguration("token hunter2"))  # type: ignore[arg-type]
    assert response.status_code == 500
    assert b"hunter2" not in bytes(response.body)


def test_places_read_like_paths() -> None:
    assert place(("rows", 3, 1)) == "rows[3][1]"
    assert place(("body", "window", "rows")) == "body.window.rows"
    assert place(()) == ""
