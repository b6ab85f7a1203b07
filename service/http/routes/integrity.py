"""GET /v1/integrity: what is watched, and how it is."""

from fastapi import APIRouter

from service.http.integrity_schemas import IntegrityView, ReferenceView, TargetView
from service.usecases.read_integrity import ReadIntegrity


def routes(read: ReadIntegrity) -> APIRouter:
    """The one route over its use case."""
    router = APIRouter(prefix="/v1", tags=["integrity"])

    @router.get("/integrity")
    async def get_integrity() -> IntegrityView:
        """Files that are watched, and references of models that this process judges: the states of this moment."""
        return IntegrityView(
            targets=[TargetView.of(each) for each in read.targets()],
            references=[ReferenceView.of(each) for each in read.references()],
        )

    return router
