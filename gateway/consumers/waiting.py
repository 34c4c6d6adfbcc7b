"""`/consumers/{name}/waiting`: subjects that wait at an ordered consumer, and how one goes on without its blocker."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel
from sqlmodel import Session
from starlette.responses import Response

from gateway.consumers.routes import Name
from gateway.dependencies import Db, Operator
from gateway.idempotency import Answer, OncePerKey
from gateway.openapi import problems
from gateway.pages import Cursor, Page, Paging, Text, by_position
from gateway.security import operator_router
from infra.recovery import turns
from infra.recovery.turns import WaitingView
from infra.recovery.views import LetterView

private = operator_router("consumers")
_cursor = Cursor("waiting", by_position)


class WaitingFilter(Paging):
    """Which subjects."""

    subject: Text | None = None


class Skip(BaseModel, extra="forbid", frozen=True):
    """The subject that is to go on, and the reason."""

    subject: Text
    why: Text


@private.get("/consumers/{name}/waiting", response_model=Page[WaitingView], responses=problems(404, 422))
def listed(name: Name, wanted: Annotated[WaitingFilter, Query()], database: Db) -> Response:
    """Subjects of which events wait for an earlier one; the one that waits for the earliest place of the log first."""
    after = _cursor.key(wanted.cursor) or 0
    with database.reading() as session:
        found = turns.oldest(session, name, subject=wanted.subject, after=after, limit=wanted.limit + 1)
    page = _cursor.page(found, wanted.limit, lambda item: item.first)
    return Response(page.model_dump_json(), media_type="application/json")


@private.post(
    "/consumers/{name}/waiting/skip",
    response_model=LetterView,
    responses=problems(400, 404, 409, 413, 415, 422, 503),
)
async def skip(name: Name, wanted: Skip, once: OncePerKey, who: Operator) -> Response:
    """Give up the event that a subject waits for, so that the others go on: it becomes a dead letter, shown here."""

    def work(session: Session) -> Answer:
        letter = turns.skip(session, name, wanted.subject, who=who, why=wanted.why)
        return Answer(200, LetterView.model_validate(letter).model_dump_json(), {})

    return (await once.run(work)).response()
