"""/livez, /readyz, /readyz/integrity, /metrics: for Kubernetes and Prometheus."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response
from pydantic import BaseModel

from service.http.routes import problems
from service.telemetry.metrics import Metrics


class Health(BaseModel):
    """One word."""

    status: str


def routes(
    check_ready: Callable[[], Awaitable[None]], check_integrity: Callable[[], None], metrics: Metrics | None
) -> APIRouter:
    """`check_ready` raises what keeps the service from doing its work, `check_integrity` what is not verified.

    Without `metrics`, /metrics is elsewhere.
    """
    router = APIRouter(tags=["operations"])

    @router.get("/livez")
    async def livez() -> Health:
        """The process runs and its event loop turns. It says nothing of the store: a restart would not mend that."""
        return Health(status="ok")

    @router.get("/readyz", responses=problems(503))
    async def readyz() -> Health:
        """The store answers and takes writes, and files that this process relies on are verified."""
        await check_ready()
        return Health(status="ok")

    @router.get("/readyz/integrity", responses=problems(503))
    async def readyz_integrity() -> Health:
        """Every target of mode `enforce` is verified: for the readiness of what serves from these files."""
        check_integrity()
        return Health(status="ok")

    if metrics is None:
        return router

    @router.get("/metrics", response_class=Response)
    async def scrape() -> Response:
        """OpenMetrics."""
        return Response(metrics.exposition(), media_type=Metrics.content_type)

    return router
