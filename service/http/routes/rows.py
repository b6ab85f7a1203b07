"""/v1/models/{model}/rows: the rows of judged windows, while they are retained."""

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import Response

from service.domain.models import BatchPosition, model_name
from service.http.exports import FORMATS, Heading, chosen, has_pyarrow
from service.http.exports.response import ExportPlaces, ExportResponse, encoded
from service.http.quarantine_schemas import QuarantinePage
from service.http.routes import problems
from service.http.routes.models import ModelPath
from service.usecases.export_rows import Export, ExportRows, Span
from service.usecases.read_quarantine import ReadQuarantine

_LARGEST = 2**53
Accept = Annotated[str | None, Header(description="CSV without it. Arrow and Parquet need the extra `arrow`.")]
Flagged = Annotated[
    bool, Query(description="Also the rows that the plan keeps apart (`anomalies`), and of every row its label.")
]
_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The features by name, event time, batch and verdict of every row; "
        "in Arrow and Parquet with what they are of in the schema's metadata (`driftwarden`, JSON).",
        "content": {each.media_type: {"schema": {"type": "string", "format": "binary"}} for each in FORMATS},
    }
}
_ANSWERS = {**_FILES, **problems(404, 406, 410, 422, 503)}


def routes(export_rows: ExportRows, read_quarantine: ReadQuarantine) -> APIRouter:
    """Rows, and where those are that were flagged."""
    router = APIRouter(prefix="/v1/models/{model}", tags=["rows"])
    places, pyarrow = ExportPlaces(), has_pyarrow()

    @router.get("/verdicts/{number}/rows", responses=_ANSWERS, response_class=Response)
    async def get_rows_of_a_verdict(
        model: ModelPath,
        number: Annotated[int, Path(ge=1, le=_LARGEST, description="The verdict's.")],
        flagged: Flagged = False,
        accept: Accept = None,
    ) -> Response:
        """All rows of one judged window, also those that its sample left out, in the order of the log."""
        return await answer(model, Span(number, number, flagged), accept)

    @router.get("/rows", responses=_ANSWERS, response_class=Response)
    async def get_rows(
        model: ModelPath,
        from_verdict: Annotated[int, Query(ge=1, le=_LARGEST, description="Number of the first one.")],
        to_verdict: Annotated[
            int | None, Query(ge=1, le=_LARGEST, description="Number of the last one; the newest without it.")
        ] = None,
        flagged: Flagged = False,
        accept: Accept = None,
    ) -> Response:
        """All rows of windows that follow one another, e.g. of an alarm's period; where they overlap, of each."""
        return await answer(model, Span(from_verdict, to_verdict, flagged), accept)

    @router.get("/quarantine", responses=problems(404, 422, 503), response_model=QuarantinePage)
    async def get_quarantine(
        model: ModelPath,
        limit: Annotated[int, Query(ge=1, le=200, description="Batches a page.")] = 50,
        before: Annotated[
            str | None,
            Query(pattern="^[0-9]{1,19}-[0-9]{1,19}$", description="Only batches before this place in the log."),
        ] = None,
    ) -> Response:
        """Where the rows are that were flagged lately, and why; newest first, as many as are kept."""
        name = model_name(model)
        batches = await read_quarantine(name, limit, None if before is None else BatchPosition(before))
        # Of twenty thousand rows that takes longer than anybody else's request may be held up.
        page = await to_thread.run_sync(lambda: QuarantinePage.of(name, batches, limit).model_dump_json())
        return Response(page, media_type="application/json")

    async def answer(model: str, span: Span, accept: str | None) -> Response:
        name, form = model_name(model), chosen(accept, pyarrow=pyarrow)
        with places.kept_if_all_is_well() as give_back:
            export = await export_rows(name, span)
            writer = await to_thread.run_sync(lambda: form.open(Heading.of(export)))
            pieces = encoded(export, writer)
            first = [await anext(pieces), await anext(pieces, None)]  # what is wrong by then is a problem document
            return ExportResponse(first, pieces, give_back, form.media_type, _file_name(export, form.suffix))

    return router


def _file_name(export: Export, suffix: str) -> str:
    numbers = sorted({export.verdicts[0].number, export.verdicts[-1].number})
    return f"{export.model}-{'-'.join(map(str, numbers))}.{suffix}"
