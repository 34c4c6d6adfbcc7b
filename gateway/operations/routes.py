"""`/operations`: what operators started and what is worked off in the background."""

from typing import Annotated, Any

from fastapi import Query
from sqlmodel import Session
from starlette.responses import Response

from gateway.dependencies import Db, Operator
from gateway.idempotency import Answer, OncePerKey
from gateway.identifiers import Id
from gateway.openapi import problems
from gateway.operations.schemas import OperationFilter, Reason
from gateway.pages import Cursor, Page, by_id
from gateway.security import operator_router
from infra.database import operations
from infra.recovery import replaying, resuming
from infra.recovery.views import OperationView

private = operator_router("operations")
_cursor = Cursor("operations", by_id)
_DEED = problems(400, 404, 409, 413, 415, 422, 503)
_ASKED: dict[int | str, dict[str, Any]] = {
    202: {"headers": {"Location": {"schema": {"type": "string"}, "description": "The operation."}}}
}


@private.get("/operations", response_model=Page[OperationView], responses=problems(422))
def newest(wanted: Annotated[OperationFilter, Query()], database: Db) -> Response:
    """All operations, the newest first."""
    before = _cursor.key(wanted.cursor)
    asked = operations.Filter(kind=wanted.kind, state=wanted.state)
    with database.reading() as session:
        rows = operations.page(session, asked, before=before, limit=wanted.limit + 1)
    page = _cursor.page([OperationView.of(row) for row in rows], wanted.limit, lambda item: item.id)
    return Response(page.model_dump_json(), media_type="application/json")


@private.get("/operations/{id}", response_model=OperationView, responses=problems(404))
def show(id: Id, database: Db) -> Response:  # noqa: A002  # the path's own name for it
    """One operation, and how far it is."""
    with database.reading() as session:
        operation = OperationView.of(replaying.find_operation(session, id))
    return Response(operation.model_dump_json(), media_type="application/json")


@private.post(
    "/operations/{id}/stop",
    status_code=202,
    response_model=OperationView,
    responses=_ASKED | _DEED,
)
async def stop(
    id: Id,  # noqa: A002  # the path's own name for it
    once: OncePerKey,
    who: Operator,
    wanted: Reason = Reason(),  # noqa: B008  # FastAPI's way to say that the body may be missing
) -> Response:
    """Ask an operation to stop: it does within a second or so. Letters wait again, due times are given up, and a
    consumer's past can be resumed."""

    def work(session: Session) -> Answer:
        operation = replaying.stop(session, id, who=who, why=wanted.why or "")
        return Answer(202, OperationView.of(operation).model_dump_json(), {"Location": f"/operations/{id}"})

    return (await once.run(work)).response()


@private.post("/operations/{id}/resume", status_code=202, response_model=OperationView, responses=_ASKED | _DEED)
async def resume(
    id: Id,  # noqa: A002  # the path's own name for it
    once: OncePerKey,
    who: Operator,
    wanted: Reason = Reason(),  # noqa: B008  # as above
) -> Response:
    """Let a backfill of a consumer that was stopped go on where it was; other operations cannot."""

    def work(session: Session) -> Answer:
        operation = resuming.resume(session, id, who=who, why=wanted.why or "")
        return Answer(202, OperationView.of(operation).model_dump_json(), {"Location": f"/operations/{id}"})

    return (await once.run(work)).response()
