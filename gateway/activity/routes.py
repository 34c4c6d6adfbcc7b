"""`/activity`: what happened, as the consumer `activity-log` wrote it down."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from gateway.activity import service
from gateway.activity.schemas import ActivityFilter, ActivityItem
from gateway.dependencies import Db
from gateway.openapi import problems
from gateway.pages import Page
from gateway.security import operator_router

private = operator_router("activity")


@private.get("/activity", response_model=Page[ActivityItem], responses=problems(422))
def activity(wanted: Annotated[ActivityFilter, Query()], database: Db) -> Response:
    """The activity log, the newest first."""
    with database.reading() as session:
        return Response(service.newest(session, wanted).model_dump_json(), media_type="application/json")
