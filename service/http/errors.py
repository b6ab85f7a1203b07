"""One table from what went wrong to an RFC 9457 problem document."""

import math
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from service.domain.errors import (
    AccessUndecided,
    CentralRefused,
    CentralUnavailable,
    CompanionModel,
    ConcurrentChange,
    ConflictingBatch,
    CorruptedState,
    DriftwardenError,
    Fault,
    IntegrityLost,
    InvalidBatch,
    InvalidInput,
    InvalidLabels,
    InvalidModelName,
    InvalidPlan,
    InvalidReference,
    InvalidRetraining,
    InvalidSpan,
    NoSigningKey,
    NotAcceptable,
    NotAllowed,
    NotAuthenticated,
    OutdatedSummaries,
    Overloaded,
    ReferenceNotTrusted,
    RetrainingRefused,
    RowsGone,
    RowsNeverKept,
    Saturated,
    SlowBody,
    StoreFull,
    StoreUnavailable,
    TriggerRejected,
    TriggerUnavailable,
    UnknownDetectorName,
    UnknownModel,
    UnknownRevision,
    UnknownRun,
    UnknownVerdict,
    UnreadableBody,
    UnsupportedFormat,
    VettingUnavailable,
    VettingUnderWay,
    WrongMoment,
)

MEDIA_TYPE = "application/problem+json"
MAXIMUM_FAULTS = 20
MAXIMUM_TEXT = 300
MAXIMUM_DETAIL = 2_000
RETRY_AFTER_SECONDS = 2

# Kind of problem -> status, short name (the last part of its URN), title.
_PROBLEMS: dict[type[DriftwardenError], tuple[HTTPStatus, str, str]] = {
    InvalidModelName: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-model-name", "Not a model name"),
    InvalidBatch: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-batch", "The observations do not fit the model"),
    InvalidReference: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-reference", "The reference cannot be tested against"),
    InvalidPlan: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-plan", "The plan cannot be carried out"),
    InvalidLabels: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-labels", "The labels do not fit their batches"),
    InvalidRetraining: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-retraining", "This cannot be asked of a run"),
    UnsupportedFormat: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-format", "No payload format reads this"),
    UnreadableBody: (HTTPStatus.BAD_REQUEST, "unreadable-body", "The body is not what its headers say"),
    InvalidSpan: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-span", "These verdicts' rows cannot be given together"),
    NotAcceptable: (HTTPStatus.NOT_ACCEPTABLE, "not-acceptable", "No format that is accepted can be written"),
    InvalidInput: (HTTPStatus.BAD_REQUEST, "invalid-input", "The request cannot be read"),
    NotAuthenticated: (HTTPStatus.UNAUTHORIZED, "not-authenticated", "Who calls is not known"),
    NotAllowed: (HTTPStatus.FORBIDDEN, "not-allowed", "The caller may not do this"),
    AccessUndecided: (HTTPStatus.SERVICE_UNAVAILABLE, "access-undecided", "Who may do this could not be asked"),
    UnknownModel: (HTTPStatus.NOT_FOUND, "unknown-model", "No such model"),
    CompanionModel: (HTTPStatus.CONFLICT, "companion-model", "This model belongs to another one"),
    UnknownRevision: (HTTPStatus.NOT_FOUND, "unknown-revision", "No such registration"),
    UnknownDetectorName: (HTTPStatus.NOT_FOUND, "unknown-detector", "No such detector"),
    UnknownVerdict: (HTTPStatus.NOT_FOUND, "unknown-verdict", "No such verdict"),
    RowsGone: (HTTPStatus.GONE, "rows-gone", "These rows are not kept any more"),
    RowsNeverKept: (HTTPStatus.NOT_FOUND, "rows-never-kept", "Summaries are kept in place of rows"),
    ConcurrentChange: (HTTPStatus.CONFLICT, "concurrent-change", "Changed by somebody else at the same time"),
    ConflictingBatch: (HTTPStatus.CONFLICT, "conflicting-batch", "Another batch has this name"),
    OutdatedSummaries: (HTTPStatus.CONFLICT, "outdated-summaries", "Summaries for another reference or plan"),
    SlowBody: (HTTPStatus.REQUEST_TIMEOUT, "slow-body", "The body did not arrive in time"),
    Saturated: (HTTPStatus.SERVICE_UNAVAILABLE, "saturated", "Too much is under way"),
    Overloaded: (HTTPStatus.TOO_MANY_REQUESTS, "overloaded", "Too much of this model"),
    StoreUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "store-unavailable", "The store does not answer"),
    StoreFull: (HTTPStatus.SERVICE_UNAVAILABLE, "store-full", "The store is full"),
    CentralUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "central-unavailable", "The central service does not answer"),
    CentralRefused: (HTTPStatus.SERVICE_UNAVAILABLE, "central-refused", "The central service refuses this sidecar"),
    RetrainingRefused: (HTTPStatus.CONFLICT, "retraining-refused", "The gate does not let this run pass"),
    UnknownRun: (HTTPStatus.NOT_FOUND, "unknown-run", "No such run"),
    WrongMoment: (HTTPStatus.CONFLICT, "wrong-moment", "The run is not at that point"),
    NoSigningKey: (HTTPStatus.NOT_FOUND, "no-signing-key", "The service has no key to sign with"),
    VettingUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "vetting-unavailable", "The dataset cannot be looked at now"),
    VettingUnderWay: (HTTPStatus.SERVICE_UNAVAILABLE, "vetting-under-way", "The dataset is being read for others"),
    TriggerUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "target-unavailable", "What starts runs does not answer"),
    TriggerRejected: (HTTPStatus.BAD_GATEWAY, "target-rejected", "What starts runs refuses this"),
    IntegrityLost: (HTTPStatus.SERVICE_UNAVAILABLE, "integrity-lost", "Something is not what it should be"),
    ReferenceNotTrusted: (HTTPStatus.INTERNAL_SERVER_ERROR, "reference-not-trusted", "The reference is not trusted"),
    CorruptedState: (HTTPStatus.INTERNAL_SERVER_ERROR, "corrupted-state", "Stored state is damaged"),
}


class BodyTooLarge(Exception):
    """A body over the limit; answered by `too_large`."""


def problem(
    status: HTTPStatus,
    name: str,
    title: str,
    detail: str,
    faults: tuple[Fault, ...] = (),
    headers: dict[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    """An RFC 9457 document; `errors` lists the places (an extension member the RFC itself uses as its example).

    `members` are further ones of this kind of problem.
    """
    content: dict[str, Any] = {
        "type": f"urn:driftwarden:problem:{name}",
        "title": title,
        "status": status,
        "detail": _told(detail, MAXIMUM_DETAIL),
        **members,
    }
    if faults:
        content["errors"] = [
            {"place": _told(fault.place, MAXIMUM_TEXT), "message": _told(fault.message, MAXIMUM_TEXT)}
            for fault in faults[:MAXIMUM_FAULTS]
        ]
    return JSONResponse(content, status, headers, MEDIA_TYPE)


def too_large() -> JSONResponse:
    """A body over the limit; in words of our own, because the phrase of 413 differs between versions of Python."""
    detail = "the body is larger than this service takes at once; send it in smaller parts"
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "content-too-large", "Content too large", detail)


def unreadable() -> JSONResponse:
    """Bytes that are no HTTP request: what they were meant for is not known."""
    detail = "this is no HTTP request: its first line, a header or its length is malformed"
    return problem(HTTPStatus.BAD_REQUEST, "malformed-request", "The request cannot be read", detail)


def _told(text: str, longest: int) -> str:
    """Names may be the sender's: of bounded length, and writeable (JSON may hold halves of a surrogate pair)."""
    told = text if len(text) <= longest else f"{text[:longest]}..."
    return told.encode("utf-8", "backslashreplace").decode()


def install(app: FastAPI) -> None:
    """Make every error of the application a problem document."""
    app.add_exception_handler(DriftwardenError, _ours)
    app.add_exception_handler(BodyTooLarge, _too_large)
    app.add_exception_handler(ClientDisconnect, _gone_away)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _of_the_framework)
    app.add_exception_handler(Exception, _unexpected)


async def _ours(_: Request, error: Exception) -> JSONResponse:
    try:
        return answer_to(error)
    except DriftwardenError:
        return await _unexpected(_, error)


def answer_to(error: Exception) -> JSONResponse:
    """Its problem document; raises it again if it has no business at the HTTP edge."""
    for kind in type(error).__mro__:
        if kind in _PROBLEMS:
            status, name, title = _PROBLEMS[kind]
            break
    else:
        raise error
    headers = {}
    if getattr(error, "retryable", False):
        headers["Retry-After"] = str(math.ceil(getattr(error, "retry_after", None) or RETRY_AFTER_SECONDS))
    faults = error.faults if isinstance(error, InvalidInput) else ()
    members: dict[str, Any] = {}
    if isinstance(error, RowsGone) and error.oldest:
        members = {"oldest_whole_verdict": error.oldest}
    elif isinstance(error, IntegrityLost):
        members = {"targets": [{"name": name, "state": state} for name, state in error.states]}
    elif isinstance(error, RetrainingRefused):
        members = {"check": error.check, "reason": error.reason}
    return problem(status, name, title, str(error), faults, headers, **members)


async def _too_large(_: Request, __: Exception) -> JSONResponse:
    return too_large()


async def _gone_away(_: Request, __: Exception) -> Response:
    """Nobody reads it; without it, a client that goes away would be logged as a defect of ours."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def _invalid_request(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    faults = faults_of(error.errors())
    detail = "; ".join(f"{fault.place}: {fault.message}" for fault in faults[:MAXIMUM_FAULTS])
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "The request cannot be read", detail, faults)


async def _of_the_framework(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    status = HTTPStatus(error.status_code)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return too_large()
    name = status.phrase.lower().replace(" ", "-")
    headers = dict(error.headers) if error.headers else None
    return problem(status, name, status.phrase, str(error.detail), headers=headers)


async def _unexpected(_: Request, __: Exception) -> JSONResponse:
    """A defect of ours: the framework logs it with its traceback after this answer."""
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "Internal error", "see the service's log")


def faults_of(errors: Any) -> tuple[Fault, ...]:
    """Pydantic's errors as places and messages, without the values themselves."""
    return tuple(Fault(place(error["loc"]) or "body", _said(error)) for error in list(errors)[:MAXIMUM_FAULTS])


def _said(error: Any) -> str:
    return "is not known here; see /docs" if error["type"] == "extra_forbidden" else str(error["msg"])


def place(location: tuple[int | str, ...]) -> str:
    """`("rows", 3, 1)` as `rows[3][1]`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path
