"""`/dead-letters`: what was given up, and what an operator does about it."""

from typing import Annotated, Any

from fastapi import Query
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from events.attributes import is_id
from gateway.dead_letters import service
from gateway.dead_letters.schemas import Edit, Edited, LetterFilter, ReplayMany, ReplayOne
from gateway.dependencies import Db, Operator
from gateway.idempotency import Answer, OncePerKey
from gateway.identifiers import Id
from gateway.openapi import problems
from gateway.pages import Page, Text
from gateway.security import operator_router
from gateway.writing import write
from infra.recovery import discarding, editing, replaying
from infra.recovery.letters import find
from infra.recovery.views import GroupView, LetterInFull, LetterView, OperationView, PreviewView

private = operator_router("dead letters")

_TEXT = {"schema": {"type": "string"}}
_SHOWN: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"Link": {**_TEXT, "description": "rel=related: the event; rel=successor-version: its edition."}}}
}
_BEGUN: dict[int | str, dict[str, Any]] = {
    200: {"description": "Of a dry run: what would happen.", "model": PreviewView},
    202: {"headers": {"Location": {**_TEXT, "description": "The operation."}}},
}
_SENT: dict[int | str, dict[str, Any]] = {202: {"headers": {"Location": {**_TEXT, "description": "The letter."}}}}
_MADE: dict[int | str, dict[str, Any]] = {201: {"headers": {"Location": {**_TEXT, "description": "The new event."}}}}


@private.get("/dead-letters", response_model=Page[LetterView], responses=problems(422))
def letters(wanted: Annotated[LetterFilter, Query()], database: Db) -> Response:
    """Dead letters, the last kept first; without `state`, those that are open."""
    with database.reading() as session:
        return _json(service.newest(session, wanted).model_dump_json())


@private.get("/dead-letters/groups", response_model=Page[GroupView], responses=problems(422))
def groups(wanted: Annotated[LetterFilter, Query()], database: Db) -> Response:
    """Dead letters by consumer and cause, the group that failed last first."""
    with database.reading() as session:
        return _json(service.groups(session, wanted).model_dump_json())


@private.post(
    "/dead-letters/replay",
    status_code=202,
    response_model=OperationView,
    responses=_BEGUN | problems(400, 413, 415, 422, 503),
)
async def replay_many(wanted: ReplayMany, once: OncePerKey, database: Db, who: Operator) -> Response:
    """Replay the waiting letters that the filters choose, in the background; or only count them (`dry_run`)."""
    if wanted.dry_run:
        return _json(await run_in_threadpool(service.preview, database, wanted))

    def work(session: Session) -> Answer:
        begun = replaying.start(session, wanted.filter("waiting"), wanted.terms(), who=who, why=wanted.why or "")
        return Answer(202, OperationView.of(begun).model_dump_json(), {"Location": f"/operations/{begun.id}"})

    return (await once.run(work)).response()


@private.get("/dead-letters/{id}", response_model=LetterInFull, responses=_SHOWN | problems(404))
def show(id: Id, database: Db) -> Response:  # noqa: A002  # the path's own name for it
    """One dead letter with its message."""
    with database.reading() as session:
        letter = LetterInFull.of(find(session, id))
    return _json(letter.model_dump_json(), _links(letter))


@private.delete("/dead-letters/{id}", response_model=LetterView, responses=problems(404, 409, 422, 503))
async def discard(
    id: Id,  # noqa: A002  # the path's own name for it
    why: Annotated[Text, Query(description="For the audit: a DELETE has no body.")],
    database: Db,
    who: Operator,
) -> Response:
    """Close a letter without handling its event; the row stays, with the reason."""
    letter = await write(database, lambda session: discarding.discard(session, id, who=who, why=why))
    return _json(LetterView.model_validate(letter).model_dump_json())


@private.post(
    "/dead-letters/{id}/replay",
    status_code=202,
    response_model=LetterView,
    responses=_SENT | problems(400, 404, 409, 413, 415, 422, 503),
)
async def replay_one(
    id: Id,  # noqa: A002  # the path's own name for it
    once: OncePerKey,
    who: Operator,
    wanted: ReplayOne = ReplayOne(),  # noqa: B008  # FastAPI's way to say that the body may be missing
) -> Response:
    """Send the letter's event to its consumer once more, and to no other."""

    def work(session: Session) -> Answer:
        letter = replaying.replay_one(session, id, who=who, why=wanted.why or "", force=wanted.force)
        return Answer(202, LetterView.model_validate(letter).model_dump_json(), {"Location": f"/dead-letters/{id}"})

    return (await once.run(work)).response()


@private.post(
    "/dead-letters/{id}/edit",
    status_code=201,
    response_model=Edited,
    responses=_MADE | problems(400, 404, 409, 413, 415, 422, 503),
)
async def edit(id: Id, wanted: Edit, once: OncePerKey, who: Operator) -> Response:  # noqa: A002  # as above
    """Announce the event anew with other data, and close the letter; the new event names the old one as its cause."""

    def work(session: Session) -> Answer:
        made = editing.edit(session, id, wanted.data, who=who, why=wanted.why)
        return Answer(201, Edited(event_id=made).model_dump_json(), {"Location": f"/events/{made}"})

    return (await once.run(work)).response()


def _links(letter: LetterInFull) -> dict[str, str]:
    links = [f'</events/{letter.event_id}>; rel="related"'] if is_id(letter.event_id) else []
    if letter.state == "superseded":
        links.append(f'</events/{letter.closed_with}>; rel="successor-version"')
    return {"Link": ", ".join(links)} if links else {}


def _json(body: str, headers: dict[str, str] | None = None) -> Response:
    return Response(body, headers=headers, media_type="application/json")
