"""`POST /consumers/{name}/retire`: a consumer leaves."""

from typing import Any

from pydantic import BaseModel, Field
from sqlmodel import Session
from starlette.responses import Response

from gateway.consumers.routes import Name
from gateway.dependencies import Operator
from gateway.idempotency import Answer, OncePerKey
from gateway.openapi import problems
from gateway.pages import Text
from gateway.security import operator_router
from infra.recovery import retiring
from infra.recovery.views import OperationView

private = operator_router("consumers")
_BEGUN: dict[int | str, dict[str, Any]] = {
    202: {"headers": {"Location": {"schema": {"type": "string"}, "description": "The operation."}}},
}


class Retirement(BaseModel, extra="forbid", frozen=True):
    """What becomes of what is left for the consumer."""

    drain: bool = Field(
        description="Workers that still run handle what is left; else that goes to the dead letters, reason `retired`."
    )
    force: bool = Field(
        default=False, description="Even if a program with its module was at work in the last two minutes."
    )
    why: Text = Field(description="The reason, for the audit.")


@private.post(
    "/consumers/{name}/retire",
    status_code=202,
    response_model=OperationView,
    responses=_BEGUN | problems(400, 404, 409, 413, 415, 422, 503),
)
async def retire(name: Name, wanted: Retirement, once: OncePerKey, who: Operator) -> Response:
    """Let a consumer leave, in the background: nothing new is given to it, and its queue goes when nothing is left.

    Stopping the operation makes it a consumer again, as long as it is not gone.
    """

    def work(session: Session) -> Answer:
        if not wanted.force:
            retiring.require_unseen(session, name)
        begun = retiring.start(session, name, drain=wanted.drain, who=who, why=wanted.why)
        return Answer(202, OperationView.of(begun).model_dump_json(), {"Location": f"/operations/{begun.id}"})

    return (await once.run(work)).response()
