"""GET /v1/models...: which models are watched, and by what.

Each answer that changes with a registration has an ETag, so that sidecars may ask often and be told little.
"""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from service.domain.models import model_name
from service.domain.registration import Registration
from service.http.column_documents import SchemaView
from service.http.routes import problems
from service.http.routes.models import ModelPath
from service.http.schemas import ModelPage, Plan, RegistrationView
from service.usecases.read_registrations import ReadRegistrations

REFERENCE_MEDIA_TYPE = "application/vnd.driftwarden.reference"
Known = Annotated[str | None, Header(alias="If-None-Match", description="An ETag: 304 while it is still right.")]
_BYTES: dict[str, Any] = {"content": {REFERENCE_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
_UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "It is what the ETag says"}}


def routes(read: ReadRegistrations) -> APIRouter:
    """The reading routes over their use case."""
    router = APIRouter(prefix="/v1/models", tags=["models"])

    @router.get("", responses=problems(422, 503))
    async def get_models(
        limit: Annotated[int, Query(ge=1, le=1_000, description="Models a page.")] = 100,
        after: Annotated[str | None, Query(max_length=63, description="Only names that come after this one.")] = None,
    ) -> ModelPage:
        """The models under watch, by name."""
        models, more = await read.page(limit, after)
        return ModelPage(models=list(models), after=models[-1] if more else None)

    @router.get("/{model}", response_model=RegistrationView, responses={**problems(404, 422, 500, 503), **_UNCHANGED})
    async def get_model(model: ModelPath, response: Response, if_none_match: Known = None) -> Any:
        """What a model is watched by."""
        registration = await read.registration(model_name(model))
        tag = _tag(registration)
        if unchanged := _unchanged(tag, if_none_match):
            return unchanged
        response.headers["ETag"] = f'"{tag}"'
        return RegistrationView.of(await read.registered(registration))

    @router.get(
        "/{model}/reference",
        response_class=Response,
        responses={**problems(404, 422, 500, 503), **_UNCHANGED, 200: {"description": "Its bytes", **_BYTES}},
    )
    async def get_reference(model: ModelPath, if_none_match: Known = None) -> Response:
        """The reference as it is stored: a document of rows and feature names, whose SHA-256 is its digest."""
        registration = await read.registration(model_name(model))
        if unchanged := _unchanged(registration.reference_digest, if_none_match):
            return unchanged
        headers = {"ETag": f'"{registration.reference_digest}"'}
        return Response(await read.reference(registration), headers=headers, media_type=REFERENCE_MEDIA_TYPE)

    @router.get("/{model}/schema", response_model=SchemaView, responses={**problems(404, 422, 500, 503), **_UNCHANGED})
    async def get_schema(model: ModelPath, response: Response, if_none_match: Known = None) -> Any:
        """Kinds, roles and categories of the columns, and the code that stands for each category in stored rows."""
        registration = await read.registration(model_name(model))
        tag = _tag(registration)
        if unchanged := _unchanged(tag, if_none_match):
            return unchanged
        response.headers["ETag"] = f'"{tag}"'
        return SchemaView.of(registration)

    @router.get("/{model}/plan", response_model=Plan, responses={**problems(404, 422, 500, 503), **_UNCHANGED})
    async def get_plan(model: ModelPath, response: Response, if_none_match: Known = None) -> Any:
        """Detectors, window, budget and response, defaults written out."""
        registration = await read.registration(model_name(model))
        digest = registration.plan.digest
        if unchanged := _unchanged(digest, if_none_match):
            return unchanged
        response.headers["ETag"] = f'"{digest}"'
        return Plan.model_validate(registration.plan)

    return router


def _tag(registration: Registration) -> str:
    return f"{registration.revision}-{round(registration.registered_at.timestamp() * 1000)}"


def _unchanged(tag: str, known: str | None) -> Response | None:
    """An answer without a body, if the caller has this one (RFC 9110, 13.1.2: compared weakly)."""
    if known is None:
        return None
    tags = {each.strip().removeprefix("W/").strip('"') for each in known.split(",")}
    if tag not in tags and "*" not in tags:
        return None
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": f'"{tag}"'})
