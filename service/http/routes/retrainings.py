"""/v1/models/{model}/retrainings: ask for a run, see what was decided, say what became of it, take the record along."""

import json
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, TypeAdapter

from service.domain.errors import InvalidInput, InvalidRetraining, UnreadableBody
from service.domain.integrity.envelope import MEDIA_TYPE as BUNDLE_MEDIA_TYPE
from service.domain.models import model_name
from service.http.authentication import caller_of
from service.http.bodies import Bodies
from service.http.formats.content_coding import refuse_coded
from service.http.formats.json_document import read_document, require_json
from service.http.retraining_schemas import (
    AskedAnswer,
    EntryView,
    ModelMade,
    ReasonGiven,
    RetrainingRequest,
    RetrainingsView,
    RunView,
)
from service.http.routes import in_one_piece, problems
from service.http.routes.models import ModelPath
from service.usecases.read_retraining import ReadRetraining
from service.usecases.retrain_by_hand import RetrainByHand
from service.usecases.steer_runs import SteerRuns

MAXIMUM_BODY_BYTES = 16 * 2**10
_PREFIX = "/v1/models/{model}/retrainings"
RECORD_MEDIA_TYPE = "application/jsonl"
RunPath = Annotated[str, Path(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", description="The name of a run.")]
D = TypeVar("D", bound=BaseModel)
_ASKING: dict[str, Any] = {"reason": "the season's new prices are in the dataset", "dry_run": True}
_KEEPING: dict[str, Any] = {"reason": "the new model is no better"}
_GIVING_UP: dict[str, Any] = {"reason": "its cluster was taken down"}
_MAKING: dict[str, Any] = {"payload_digest": "sha256:" + "0123456789abcdef" * 4}
_REFUSALS = problems(400, 404, 408, 409, 413, 415, 422, 429, 502, 503)
_SAID: dict[str, Any] = {"status_code": 204, "responses": _REFUSALS}
_BYTES = {"schema": {"type": "string", "format": "binary"}}


def acting(by_hand: RetrainByHand, steer: SteerRuns, bodies: Bodies) -> APIRouter:
    """What somebody asks for, or says of a run."""
    router = APIRouter(prefix=_PREFIX, tags=["retraining"])

    @router.post(
        "",
        status_code=202,
        response_model=AskedAnswer,
        responses={**_REFUSALS, 200: {"description": "What the gate would say (dry_run)", "model": AskedAnswer}},
        openapi_extra=_body(RetrainingRequest, _ASKING),
    )
    async def post_retraining(model: ModelPath, request: Request) -> JSONResponse:
        """Ask for a run. It goes through the gate that drift goes through; quiet hours do not hold it up."""
        name = model_name(model)
        asked = await _read(bodies, name, request, RetrainingRequest, _ASKING)
        if asked.dry_run:
            return JSONResponse(AskedAnswer.foreseen(await by_hand.foresee(name)).model_dump(mode="json"))
        entry = await by_hand(name, caller_of(request.scope), asked.reason, rehearsal=asked.rehearsal)
        answer = AskedAnswer(run=entry.run, permitted=None, refusal=None, evidence=None)
        where = {"Location": f"/v1/models/{name}/retrainings/{entry.run}"}
        return JSONResponse(answer.model_dump(mode="json"), 202, where)

    @router.post("/{run}/release", **_SAID)
    async def release(model: ModelPath, run: RunPath, request: Request) -> None:
        """Let a run go on that was made suspended (`response.approval: manual`)."""
        await steer.release(model_name(model), run, caller_of(request.scope))

    @router.post("/{run}/over", openapi_extra=_body(ReasonGiven, _GIVING_UP), **_SAID)
    async def give_up(model: ModelPath, run: RunPath, request: Request) -> None:
        """Say that a run is over that cannot be seen any more, as where the cluster or its kind is gone."""
        name = model_name(model)
        given = await _read(bodies, name, request, ReasonGiven, _GIVING_UP)
        await steer.give_up(name, run, caller_of(request.scope), given.reason)

    @router.post("/{run}/model", openapi_extra=_body(ModelMade, _MAKING), **_SAID)
    async def tell_model(model: ModelPath, run: RunPath, request: Request) -> None:
        """Say which model the run made: its provenance is of that from then on."""
        name = model_name(model)
        made = await _read(bodies, name, request, ModelMade, _MAKING)
        await steer.tell_model(name, run, made.payload_digest, caller_of(request.scope))

    @router.post("/{run}/served", **_SAID)
    async def serve(model: ModelPath, run: RunPath, request: Request) -> None:
        """Say that the run's model is in use: rows from now on are its own, and a reference is made of them."""
        await steer.serve(model_name(model), run, caller_of(request.scope))

    @router.post("/{run}/keep-reference", openapi_extra=_body(ReasonGiven, _KEEPING), **_SAID)
    async def keep_reference(model: ModelPath, run: RunPath, request: Request) -> None:
        """Say that no reference is to be made of the run's model: the old one stays, and the next run may come."""
        name = model_name(model)
        given = await _read(bodies, name, request, ReasonGiven, _KEEPING)
        await steer.keep_reference(name, run, caller_of(request.scope), given.reason)

    return router


def reading(read: ReadRetraining) -> APIRouter:
    """What was decided and done."""
    router = APIRouter(prefix=_PREFIX, tags=["retraining"])

    @router.get("", responses=problems(404, 422, 500, 503))
    async def get_retrainings(
        model: ModelPath,
        limit: Annotated[int, Query(ge=1, le=100, description="Entries a page.")] = 20,
        before: Annotated[int | None, Query(ge=1, le=2**53, description="Only entries before this number.")] = None,
    ) -> RetrainingsView:
        """How the model's retraining is, and what was decided and done, newest first; refusals, too."""
        return RetrainingsView.of(model, await read.page(model_name(model), limit, before))

    @router.get(
        "/record",
        response_class=Response,
        responses={200: {"content": {RECORD_MEDIA_TYPE: _BYTES}}, **problems(404, 422, 500, 503)},
    )
    async def get_record(model: ModelPath) -> StreamingResponse:
        """The whole record as JSON Lines, each as it was hashed; the last is a signature over where it ends.

        Without a key of the service (`DRIFT_TRIGGER__SIGNING_KEY_FILE`) it is not signed, and `driftwarden
        verify-record` refuses it.
        """
        return StreamingResponse(await read.handed_out(model_name(model)), media_type=RECORD_MEDIA_TYPE)

    @router.get("/{run}", responses=problems(404, 422, 500, 503))
    async def get_retraining(model: ModelPath, run: RunPath) -> RunView:
        """One run: every entry that is about it, oldest first."""
        lines = await read.run(model_name(model), run)
        return RunView(model=model, run=run, entries=[EntryView.of(line) for line in lines])

    @router.get(
        "/{run}/provenance",
        response_class=Response,
        responses={200: {"content": {BUNDLE_MEDIA_TYPE: _BYTES}}, **problems(404, 409, 422, 500, 503)},
    )
    async def get_provenance(model: ModelPath, run: RunPath) -> Response:
        """SLSA provenance v1, signed by the service: which model the run made, from which event and which data."""
        return Response(await read.provenance(model_name(model), run), media_type=BUNDLE_MEDIA_TYPE)

    return router


async def _read(bodies: Bodies, model: str, request: Request, kind: type[D], example: dict[str, Any]) -> D:
    headers = request.headers
    refuse_coded(headers.get("content-encoding"))
    require_json(headers.get("content-type"))
    async with bodies.held(model, request) as body:
        try:
            return read_document(TypeAdapter(kind), body, json.dumps(example))
        except UnreadableBody:
            raise
        except InvalidInput as error:
            raise InvalidRetraining(*error.faults) from error


def _body(kind: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": in_one_piece(kind), "example": example}}
    return {"requestBody": {"required": True, "content": content}}
