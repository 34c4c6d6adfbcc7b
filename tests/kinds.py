"""Kinds of jobs as a database remembers them, without a module that does them."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, EmailStr, Field
from sqlalchemy import update

from events.jobs import JobRequested
from infra.database import consumers, jobs
from infra.database.engine import Database
from infra.database.job_tables import Job
from infra.database.jobs import NewJob
from infra.database.tables import table
from infra.jobs.kinds import Kind, Unique
from infra.subscriptions import Subscription

REPORT = "sales-report"


class Part(BaseModel, extra="forbid"):
    """A model in a model."""

    weight: int = Field(ge=1)


class Report(BaseModel):
    """Parameters of many types."""

    since: datetime
    day: date | None = None
    days: int = Field(default=7, ge=1, le=366)
    layout: Literal["csv", "html"] = "csv"
    to: EmailStr | None = None
    code: str = Field(default="", max_length=3, pattern="^[a-z]*$")
    parts: list[Part] = []


class Anything(BaseModel, extra="allow"):
    """Takes whatever it is given."""


def subscription(
    name: str = REPORT,
    parameters: type[BaseModel] = Report,
    *,
    unique: Unique | None = None,
    announce: bool = False,
    result: type[BaseModel] | str | None = None,
) -> Subscription:
    """The consumer that a kind is."""
    kind = Kind(name, lambda parameters, job: None, parameters, result, unique, announce)
    return Subscription(
        consumer=name,
        types=(JobRequested.type_of(name),),
        handler=lambda event, context: None,
        description=f"Does {name}.",
        job=kind.described(),
    )


def declare(database: Database, *subscriptions: Subscription) -> None:
    """Have these kinds recorded; without any, the report."""
    database.run(lambda session: consumers.declare(session, subscriptions or [subscription()]))


def plain(name: str) -> Subscription:
    """A consumer that is no kind of jobs."""
    return Subscription(consumer=name, types=("user.registered",), handler=lambda event, context: None)


def add(database: Database, kind: str, number: int, *, requested_by: str = "ada") -> list[str]:
    """So many jobs of a kind, and no event that asks for them; gives their ids, in their order."""
    ids = [f"{kind} {each:06}" for each in range(number)]
    same: dict[str, Any] = {"kind": kind, "parameters": {}, "unique_key": None, "requested_by": requested_by}
    with database.transaction() as session:
        for each in ids:
            jobs.add(session, NewJob(id=each, event_id=each, **same))
    return ids


def change(database: Database, job_id: str, **values: Any) -> None:
    """What a worker would write of a job."""
    statement = update(table(Job)).where(table(Job).c.id == job_id).values(**values)
    database.run(lambda session: session.connection().execute(statement))
