"""What one asks of a service besides handing in rows: definitions, earlier registrations, a test at once."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from detectors import definitions
from detectors.errors import UnknownDetector
from service.domain.errors import UnknownDetectorName
from service.domain.models import model_name
from service.http.admission import Admission
from service.http.authentication import caller_of
from service.http.bodies import Bodies
from service.http.routes import problems
from service.http.routes.examples import BODIES
from service.http.routes.models import ModelPath
from service.http.routes.observations import headers_of, observations_of
from service.http.schemas import (
    Definition,
    EvaluationView,
    RegistrationHistory,
    RegistrationSummary,
    RegistrationView,
)
from service.usecases.evaluate_rows import EvaluateRows
from service.usecases.forget_model import ForgetModel
from service.usecases.register_model import RegisterModel

RevisionPath = Annotated[int, Path(ge=1, le=2**53, description="The number of a registration that is kept.")]


def routes(
    register: RegisterModel, forget: ForgetModel, evaluate: EvaluateRows, admission: Admission, bodies: Bodies
) -> APIRouter:
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

    @router.delete("/models/{model}", status_code=204, responses=problems(404, 422, 503))
    async def delete_model(model: ModelPath, request: Request) -> None:
        """Watch the model no more. Its references, plans, rows and verdicts are deleted, and cannot be had back.

        The record of its retraining stays.
        """
        await forget(model_name(model), caller_of(request.scope))

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
        "/models/{model}/evaluations",
        responses=problems(400, 404, 408, 413, 415, 422, 429, 500, 503),
        openapi_extra=BODIES,
    )
    async def evaluate_now(model: ModelPath, request: Request) -> EvaluationView:
        """Test these rows at once, as the plan would a window of them. Nothing is stored, and nothing follows."""
        name, headers = model_name(model), headers_of(request.scope)
        size = bodies.size(headers.get(b"content-length"), headers.get(b"content-encoding"))
        with admission.place(name, size):
            body = await bodies.receive(request.receive)
            keeps_text = await evaluate.keeps_text(name)
            observations = await observations_of(bodies, name, headers, body, keeps_text=keeps_text)
            return EvaluationView.of(await evaluate(name, observations))

    return router
