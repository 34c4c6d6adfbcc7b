"""`POST /consumers/{name}/backfill`: a consumer is sent events of the past."""

from typing import Any

from pydantic import BaseModel, Field
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from gateway.consumers.routes import Name
from gateway.dependencies import Db, Operator
from gateway.idempotency import Answer, OncePerKey
from gateway.openapi import problems
from gateway.pages import Moment, Text
from gateway.security import operator_router
from infra.backfilling import planning
from infra.backfilling.planning import Wanted
from infra.backfilling.views import BackfillView
from infra.recovery.views import OperationView

private = operator_router("consumers")
_BEGUN: dict[int | str, dict[str, Any]] = {
    200: {"description": "Of a dry run: what would happen.", "model": BackfillView},
    202: {"headers": {"Location": {"schema": {"type": "string"}, "description": "The operation."}}},
}


class Backfill(BaseModel, extra="forbid", frozen=True):
    """Which events of the past the consumer is to be given."""

    since: Moment = Field(description="Published at this moment or later.")
    until: Moment | None = Field(
        default=None, description="Published before this moment; else up to where its live events begin."
    )
    types: list[Text] = Field(
        default=[],
        max_length=100,
        examples=[["user.registered"]],
        description="Of these types; else all that it takes.",
    )
    rate: float | None = Field(default=None, ge=0.1, le=100_000, description="Events per second, at most.")
    dry_run: bool = Field(default=False, description="Only count; nothing changes.")
    why: Text | None = Field(default=None, description="The reason, for the audit.")


@private.post(
    "/consumers/{name}/backfill",
    status_code=202,
    response_model=OperationView,
    responses=_BEGUN | problems(400, 404, 409, 413, 415, 422, 503),
)
async def backfill(name: Name, wanted: Backfill, once: OncePerKey, database: Db, who: Operator) -> Response:
    """Send a consumer what it has not settled, in the background, beside its live events; or only count (`dry_run`)."""
    asked = Wanted(consumer=name, since=wanted.since, until=wanted.until, types=tuple(wanted.types), rate=wanted.rate)
    planned = await run_in_threadpool(planning.plan, database, asked)
    if wanted.dry_run:
        return Response(planned.view.model_dump_json(), media_type="application/json")

    def work(session: Session) -> Answer:
        begun = planning.start(session, planned, who=who, why=wanted.why or "")
        return Answer(202, OperationView.of(begun).model_dump_json(), {"Location": f"/operations/{begun.id}"})

    return (await once.run(work)).response()
