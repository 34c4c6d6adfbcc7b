"""`/users`: anybody registers, the operator looks."""

from typing import Annotated, Any

from fastapi import Header, Query
from sqlmodel import Session
from starlette.responses import Response

from events.users import UserRegistered
from gateway.dependencies import Db
from gateway.idempotency import Answer, OncePerKey
from gateway.identifiers import Id
from gateway.openapi import problems
from gateway.pages import Page, Paging
from gateway.security import operator_router, public_router
from gateway.users import service
from gateway.users.schemas import Registration, User
from infra import metrics

public = public_router("users")
private = operator_router("users")

_CREATED: dict[int | str, dict[str, Any]] = {
    201: {
        "headers": {
            "Location": {"schema": {"type": "string"}, "description": "The user."},
            "Link": {"schema": {"type": "string"}, "description": "rel=monitor: the event, and what became of it."},
        }
    }
}


@public.post(
    "/users", status_code=201, response_model=User, responses=_CREATED | problems(400, 409, 413, 415, 422, 503)
)
async def register(
    registration: Registration,
    once: OncePerKey,
    traceparent: Annotated[str | None, Header(description="W3C trace context; handed on with the event.")] = None,
) -> Response:
    """Register somebody; a welcome mail follows by itself."""

    def work(session: Session) -> Answer:
        user = service.register(session, registration, traceparent)
        headers = {"Location": f"/users/{user.id}", "Link": f'</events/{user.event_id}>; rel="monitor"'}
        return Answer(201, user.model_dump_json(), headers)

    answer = await once.run(work)
    if not answer.replayed:
        metrics.EVENTS_ACCEPTED.labels(type=UserRegistered.TYPE).inc()
    return answer.response()


@private.get("/users/{id}", response_model=User, responses=problems(404))
def show(id: Id, database: Db) -> Response:  # noqa: A002  # the path's own name for it
    """One user."""
    with database.reading() as session:
        return Response(service.find(session, id).model_dump_json(), media_type="application/json")


@private.get("/users", response_model=Page[User], responses=problems(422))
def users(paging: Annotated[Paging, Query()], database: Db) -> Response:
    """All users, the newest first."""
    with database.reading() as session:
        return Response(service.newest(session, paging).model_dump_json(), media_type="application/json")
