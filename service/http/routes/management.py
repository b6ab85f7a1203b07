"""What one asks of a service besides handing in rows: definitions, earlier registrations, a test at once."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Request

from detectors import definitions
from detectors.errors import UnknownDetector
from service.domain.errors import InvalidBatch, InvalidInput, UnknownDetectorName, UnsupportedFormat
from service.domain.models import model_name
from service.http.formats import read_table, refuse_coded
from service.http.routes import problems
from service.http.routes.models import BODIES, ModelPath
from service.http.schemas import (
    Definition,
    EvaluationView,
    RegistrationHistory,
    RegistrationSummary,
    RegistrationView,
)
from service.usecases.evaluate_rows import EvaluateRows
from service.usecases.observe_batch import Observations
from service.usecases.register_model import RegisterModel

RevisionPath = Annotated[int, Path(ge=1, le=2**53, description="The number of a registration that is kept.")]


def routes(register: RegisterModel, evaluate: EvaluateRows) -> APIRouter:
    """The routes over their use cases."""
    router = APIRouter(prefix="/v1", tags=["models"])

    @router.get("/detectors", tags=["detectors"])
    async def get_detectors() -> list[Definition]:
        """Every detector in plain words, with its parameters and their defaults."""
        return [Definition.of(each) for each in definitions.definitions()]

    @router.get("/detectors/{name}", tags=["detectors"], responses=problems(404, 422))
    async def get_detector(name: Annotated[str, Path(max_length=200)]) -> Definition:
        """One of them."""
        try:
            return Definition.of(definitions.definition(name))
        except UnknownDetector as error:
            raise UnknownDetectorName(str(error)) from error

    @router.get("/models/{model}/registrations", responses=problems(404, 422, 500, 503))
    async def get_registrations(model: ModelPath) -> RegistrationHistory:
        """The latest registrations, newest first: which reference and which plan, from when on."""
        found = await register.history(model_name(model))
        return RegistrationHistory(model=model, registrations=[RegistrationSummary.of(each) for each in found])

    @router.post("/models/{model}/registrations/{revision}/activate", responses=problems(404, 409, 422, 500, 503))
    async def activate(model: ModelPath, revision: RevisionPath) -> RegistrationView:
        """Go back to an earlier registration: its reference and its plan, under a new number."""
        return RegistrationView.of(await register.activate(model_name(model), revision))

    @router.post(
        "/models/{model}/evaluations", responses=problems(400, 404, 413, 415, 422, 500, 503), openapi_extra=BODIES
    )
    async def evaluate_now(model: ModelPath, request: Request) -> EvaluationView:
        """Test these rows at once, as the plan would a window of them. Nothing is stored, and nothing follows."""
        name = model_name(model)
        refuse_coded(request.headers.get("content-encoding"))
        observations = await to_thread.run_sync(
            _observations, request.headers.get("content-type"), await request.body()
        )
        return EvaluationView.of(await evaluate(name, observations))

    return router


def _observations(content_type: str | None, body: bytes) -> Observations:
    try:
        table = read_table(content_type, body)
    except UnsupportedFormat:
        raise
    except InvalidInput as error:
        raise InvalidBatch(*error.faults) from error
    return Observations(table.rows, table.features, table.observed_at, table.times)
