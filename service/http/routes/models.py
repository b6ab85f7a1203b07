"""/v1/models: put a model under watch, and read what became of its windows."""

from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, TypeAdapter

from service.domain.errors import Fault, InvalidInput, InvalidPlan, InvalidReference, UnreadableBody, UnsupportedFormat
from service.domain.models import Finding, model_name
from service.domain.schema import DeclaredColumn
from service.domain.sent_columns import SentColumns
from service.http.bodies import Bodies
from service.http.column_documents import DeclaredColumnBody
from service.http.formats import read_reference
from service.http.formats.content_coding import coding_of, refuse_coded, unpacked
from service.http.formats.json_document import read_document, require_json
from service.http.formats.open_inference import head_bytes
from service.http.routes import in_one_piece, problems
from service.http.routes.examples import REFERENCE_BODIES
from service.http.schemas import Plan, RegistrationView, VerdictPage, VerdictView
from service.usecases.read_verdicts import ReadVerdicts, Wanted
from service.usecases.register_model import RegisterModel

ModelPath = Annotated[str, Path(description="The model's name: letters, digits, '.', '_', '-'; at most 63.")]
_DECLARED_EXAMPLE = '[{"name": "city", "kind": "categorical"}, {"name": "customer", "role": "ignore"}]'
Columns = Annotated[
    str | None,
    Query(
        max_length=60_000,
        description="JSON: what is not to be inferred of the reference's columns, a list of objects with `name` and, "
        "where they are to be declared, `kind`, `role`, `categories`. Holds for later references, too; `[]` ends that.",
        openapi_examples={"declared": {"value": _DECLARED_EXAMPLE}, "nothing": {"value": "[]"}},
    ),
]
_DECLARED: TypeAdapter[list[DeclaredColumnBody]] = TypeAdapter(list[DeclaredColumnBody])
_PLAN: TypeAdapter[Plan] = TypeAdapter(Plan)
PLAN_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": in_one_piece(Plan)}}}
}


def routes(register: RegisterModel, read_verdicts: ReadVerdicts, bodies: Bodies, references: Bodies) -> APIRouter:
    """The management routes over their use cases; `references` may be larger than other bodies."""
    router = APIRouter(prefix="/v1/models/{model}", tags=["models"])

    @router.put(
        "/reference", responses=problems(400, 408, 409, 413, 415, 422, 429, 503), openapi_extra=REFERENCE_BODIES
    )
    async def put_reference(model: ModelPath, request: Request, columns: Columns = None) -> RegistrationView:
        """Register the rows that production is compared with, in time order; windows begin anew after them."""
        name = model_name(model)
        declared = None if columns is None else _declared(columns)
        coding = request.headers.get("content-encoding")
        head = head_bytes(request.headers.get("inference-header-content-length"))
        read = partial(_reference, coding, request.headers.get("content-type"), head, references.max_bytes)
        async with references.held(name, request) as body:
            # A reference may be large: parsing it on the event loop would hold up every batch meanwhile.
            sent = await to_thread.run_sync(read, body)
            return RegistrationView.of(await register.reference(name, sent, declared))

    @router.put("/plan", responses=problems(400, 404, 408, 409, 413, 415, 422, 429, 503), openapi_extra=PLAN_BODY)
    async def put_plan(model: ModelPath, request: Request) -> RegistrationView:
        """Set the plan: detectors, window, budget, response."""
        name = model_name(model)
        refuse_coded(request.headers.get("content-encoding"))
        require_json(request.headers.get("content-type"))
        async with bodies.held(name, request) as body:
            plan = read_plan(body)
        return RegistrationView.of(await register.plan(name, plan.to_domain()))

    @router.get("/verdicts", responses=problems(404, 422, 503))
    async def get_verdicts(
        model: ModelPath,
        limit: Annotated[int, Query(ge=1, le=1_000, description="Verdicts a page.")] = 100,
        before: Annotated[int | None, Query(ge=1, le=2**53, description="Only verdicts with lower numbers.")] = None,
        finding: Annotated[Finding | None, Query(description="Only those with this finding.")] = None,
        acted: Annotated[bool | None, Query(description="Only those that did, or did not, set an action off.")] = None,
        since: Annotated[AwareDatetime | None, Query(description="Only windows that ended then or later.")] = None,
        until: Annotated[AwareDatetime | None, Query(description="Only windows that began before then.")] = None,
    ) -> VerdictPage:
        """The findings, newest first. A page may be short of its limit though `before` says that there are more."""
        name = model_name(model)
        page = await read_verdicts(name, limit, before, Wanted(finding, acted, since, until))
        verdicts = [VerdictView.of(window) for window in page.windows]
        return VerdictPage(model=name, verdicts=verdicts, before=page.before)

    return router


def read_plan(body: bytes) -> Plan:
    """Of a JSON document; raises `InvalidPlan`, `UnreadableBody`."""
    try:
        return read_document(_PLAN, body, '{"window": {"rows": 300}}, for one')
    except InvalidInput as error:
        raise InvalidPlan(*error.faults) from error


def _reference(
    content_encoding: str | None, content_type: str | None, head: int | None, max_bytes: int, body: bytes
) -> SentColumns:
    coding = coding_of(content_encoding, body)
    if coding is not None:
        body = unpacked(coding, body, max_bytes)
    try:
        return read_reference(content_type, body, head, most_bytes=max_bytes).columns
    except (UnreadableBody, UnsupportedFormat):
        raise
    except InvalidInput as error:
        raise InvalidReference(*error.faults) from error


def _declared(columns: str) -> tuple[DeclaredColumn, ...]:
    if not columns.strip():
        raise InvalidReference(Fault("columns", 'is empty; send [{"name": ...}] or []'))
    try:
        read = read_document(_DECLARED, columns.encode(), "", lambda location: ("columns", *location))
    except InvalidInput as error:
        raise InvalidReference(*error.faults) from error
    return tuple(each.to_domain() for each in read)
