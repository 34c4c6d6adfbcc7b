"""`/audit`: who did what, when and why."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from gateway.audit.schemas import AuditFilter
from gateway.dependencies import Db
from gateway.openapi import problems
from gateway.pages import Cursor, Page, by_id
from gateway.security import operator_router
from infra.database import audit
from infra.recovery.views import DeedView

private = operator_router("audit")
_cursor = Cursor("audit", by_id)


@private.get("/audit", response_model=Page[DeedView], responses=problems(422))
def deeds(wanted: Annotated[AuditFilter, Query()], database: Db) -> Response:
    """Everything that operators did, the newest first."""
    before = _cursor.key(wanted.cursor)
    asked = audit.Filter(**wanted.model_dump(include={"who", "action", "target", "since", "until"}))
    with database.reading() as session:
        rows = audit.page(session, asked, before=before, limit=wanted.limit + 1)
    page = _cursor.page([DeedView.model_validate(row) for row in rows], wanted.limit, lambda item: item.id)
    return Response(page.model_dump_json(), media_type="application/json")
