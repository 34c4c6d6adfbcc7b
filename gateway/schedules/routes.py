"""`/schedules`: what fires when, what was fired and missed, and what an operator does about it."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from gateway.dependencies import Db, Operator
from gateway.idempotency import Answer, OncePerKey
from gateway.openapi import problems
from gateway.pages import Cursor, Page, Paging, Text, by_id
from gateway.schedules.schemas import Addition, Backfill, Change, RunFilter, ScheduleFilter, Why
from gateway.security import operator_router
from gateway.writing import write
from infra.database import ledger, schedules
from infra.database.engine import Database
from infra.recovery.views import OperationView
from infra.schedules import backfilling, listing, resuming, verbs
from infra.schedules.views import BackfillView, GapView, RunView, ScheduleView
from infra.subscriptions import is_name

private = operator_router("schedules")
Name = Annotated[str, Path(description="The schedule's durable name.", examples=["heartbeat"])]


def _by_moment(text: str) -> datetime | None:
    """The key of a list that is ordered by due time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo == UTC else None


_schedules = Cursor("schedules", lambda text: text if is_name(text) else None)
_runs = Cursor("schedule-runs", _by_moment)
_gaps = Cursor("schedule-gaps", by_id)

_TEXT = {"schema": {"type": "string"}}
_MADE: dict[int | str, dict[str, Any]] = {201: {"headers": {"Location": {**_TEXT, "description": "The schedule."}}}}
_ORDERED: dict[int | str, dict[str, Any]] = {
    202: {"headers": {"Link": {**_TEXT, "description": "rel=monitor: the event, once a scheduler has fired it."}}}
}
_BEGUN: dict[int | str, dict[str, Any]] = {
    200: {"description": "Of a dry run: what would happen.", "model": BackfillView},
    202: {"headers": {"Location": {**_TEXT, "description": "The operation."}}},
}
_DEED = problems(400, 404, 409, 413, 415, 422, 503)


@private.get("/schedules", response_model=Page[ScheduleView], responses=problems(422))
def listed(wanted: Annotated[ScheduleFilter, Query()], database: Db) -> Response:
    """All schedules, by name, each with its next fires and its last run."""
    after = _schedules.key(wanted.cursor)
    asked = schedules.Filter(**wanted.model_dump(include={"state", "origin", "type"}))
    with database.reading() as session:
        found = listing.page(session, asked, after=after, limit=wanted.limit + 1)
    return _json(_schedules.page(found, wanted.limit, lambda item: item.name))


@private.post(
    "/schedules",
    status_code=201,
    response_model=ScheduleView,
    responses=_MADE | problems(400, 409, 413, 415, 422, 503),
)
async def add(wanted: Addition, once: OncePerKey, who: Operator) -> Response:
    """Add a schedule, which fires from now on in every replica."""
    definition = wanted.definition()

    def work(session: Session) -> Answer:
        verbs.add(session, definition, who=who, why=wanted.why or "")
        body = listing.find(session, definition.name).model_dump_json()
        return Answer(201, body, {"Location": f"/schedules/{definition.name}"})

    return (await once.run(work)).response()


@private.get("/schedules/{name}", response_model=ScheduleView, responses=problems(404))
def show(name: Name, database: Db) -> Response:
    """One schedule."""
    return _json(_found(database, name))


@private.patch("/schedules/{name}", response_model=ScheduleView, responses=_DEED)
async def change(name: Name, wanted: Change, database: Db, who: Operator) -> Response:
    """Pause a schedule, or resume it: from now on, and what was due meanwhile becomes a gap."""
    if wanted.paused:
        await write(database, lambda session: verbs.pause(session, name, who=who, why=wanted.why))
    else:
        prepared = await run_in_threadpool(resuming.prepare, database, name)
        await write(database, lambda session: resuming.resume(session, prepared, who=who, why=wanted.why))
    return _json(await run_in_threadpool(_found, database, name))


@private.delete("/schedules/{name}", status_code=204, response_class=Response, responses=problems(404, 409, 422, 503))
async def remove(
    name: Name,
    why: Annotated[Text, Query(description="For the audit: a DELETE has no body.")],
    database: Db,
    who: Operator,
) -> Response:
    """Remove a schedule that an operator added; its runs and gaps can still be read."""
    await write(database, lambda session: verbs.remove(session, name, who=who, why=why))
    return Response(status_code=204)


@private.get("/schedules/{name}/runs", response_model=Page[RunView], responses=problems(404, 422))
def runs(name: Name, wanted: Annotated[RunFilter, Query()], database: Db) -> Response:
    """What became of its due times, the newest first."""
    before = _runs.key(wanted.cursor)
    asked = ledger.Filter(**wanted.model_dump(include={"state", "kind", "since", "until"}))
    with database.reading() as session:
        found = listing.runs(session, name, asked, before=before, limit=wanted.limit + 1)
    return _json(_runs.page(found, wanted.limit, lambda item: item.due_at.isoformat()))


@private.get("/schedules/{name}/gaps", response_model=Page[GapView], responses=problems(404, 422))
def gaps(name: Name, paging: Annotated[Paging, Query()], database: Db) -> Response:
    """Spans in which it did not fire, what was found last first."""
    before = _gaps.key(paging.cursor)
    with database.reading() as session:
        found = listing.gaps(session, name, before=before, limit=paging.limit + 1)
    return _json(_gaps.page(found, paging.limit, lambda item: item.id))


@private.post("/schedules/{name}/run", status_code=202, response_model=RunView, responses=_ORDERED | _DEED)
async def run(name: Name, wanted: Why, once: OncePerKey, who: Operator) -> Response:
    """Have it fire now, paused or not: a scheduler does so within a second, and the run is marked as manual."""

    def work(session: Session) -> Answer:
        ordered = verbs.run(session, name, who=who, why=wanted.why)
        return Answer(202, ordered.model_dump_json(), {"Link": f'</events/{ordered.event_id}>; rel="monitor"'})

    return (await once.run(work)).response()


@private.post("/schedules/{name}/backfill", status_code=202, response_model=OperationView, responses=_BEGUN | _DEED)
async def backfill(name: Name, wanted: Backfill, once: OncePerKey, database: Db, who: Operator) -> Response:
    """Fire the due times of a range that were not fired, in the background; or only count them (`dry_run`)."""
    planned = await run_in_threadpool(backfilling.plan, database, name, wanted.since, wanted.until)
    if wanted.dry_run:
        return _json(planned.view)

    def work(session: Session) -> Answer:
        begun = backfilling.start(session, planned, who=who, why=wanted.why or "")
        return Answer(202, OperationView.of(begun).model_dump_json(), {"Location": f"/operations/{begun.id}"})

    return (await once.run(work)).response()


def _found(database: Database, name: str) -> ScheduleView:
    with database.reading() as session:
        return listing.find(session, name)


def _json(content: BaseModel) -> Response:
    return Response(content.model_dump_json(), media_type="application/json")
