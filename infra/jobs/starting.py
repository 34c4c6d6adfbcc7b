"""Asking for a job: a row and an event, in the transaction of whoever asks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from sqlmodel import Session
from uuid_utils.compat import uuid7

from events.clock import due_id
from events.envelope import Envelope, announce
from events.errors import TooLarge
from events.jobs import JobRequested
from infra.database import audit, jobs, outbox
from infra.database.jobs import NewJob, Open, Stored
from infra.errors import NotNow, NotPossible
from infra.fitting import UnfitParameters
from infra.handlers import Context
from infra.jobs import checking
from infra.jobs.checking import Offered

#: `action` in the audit.
START = "job.start"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A job with the same unique key may end between the look at the index and the look at the row.
_TRIES = 5


class AlreadyOpen(NotPossible):
    """A job of a kind that has one at a time with the same parameters is open."""

    def __init__(self, kind: str, job_id: str) -> None:
        """Say which one."""
        super().__init__(f"A job {kind} with these parameters is open already: /jobs/{job_id}.")
        self.job_id = job_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Who asks for a job, and what led to it."""

    requested_by: str
    #: The program that announces it, such as `/gateway`.
    source: str
    #: Made up beforehand by those who may ask twice, and want one job.
    job_id: str | None = None
    cause: Envelope | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The job that there is now."""

    id: str
    #: Whether it was made now: a kind that joins, and who asks with an id twice, may find one.
    is_new: bool
    #: As it is to be found, where that is known without a look.
    stored: Stored | None = None


def start(context: Context, kind: str, parameters: BaseModel | Mapping[str, Any], *, key: str = "") -> str:
    """Have a job done, from a handler: in its transaction, caused by its event. Gives the job's id.

    An event that is handled once more (a replay by force) finds the job that it started before, for the id is made of
    event, consumer, kind, parameters and `key`: give two jobs of one event that are alike in the rest a key each.

    Raises:
        NotKnown: there is no such kind.
        NotPossible: it is on its way out; as `AlreadyOpen`, it refuses a second one with these parameters.
        NotNow: it joins, and the one to join is being cancelled.
        UnfitParameters: the parameters are not what it takes.
    """
    said = parameters.model_dump(mode="json") if isinstance(parameters, BaseModel) else dict(parameters)
    same = " ".join([context.event_id, context.consumer, kind, key, json.dumps(said, sort_keys=True)])
    asked = Request(
        requested_by=context.consumer,
        source=f"/consumers/{context.consumer}",
        job_id=due_id(same, max(context.time, _EPOCH)),
        cause=context.envelope,
    )
    return request(context.session, kind, said, asked).id


def order(  # noqa: PLR0913  # each is named
    session: Session,
    kind: str,
    parameters: Mapping[str, Any],
    *,
    source: str,
    who: str,
    why: str,
    traceparent: str | None = None,
) -> Started:
    """Have a job done for an operator, which the audit keeps: who, why and the kind, and no parameter.

    Raises:
        NotKnown, NotPossible, NotNow, UnfitParameters: as above.
    """
    made = request(session, kind, parameters, Request(requested_by=who, source=source, traceparent=traceparent))
    if made.is_new:
        audit.write(session, who=who, action=START, target=made.id, why=why, details={"kind": kind})
    return made


def request(session: Session, kind: str, parameters: Mapping[str, Any], asked: Request) -> Started:
    """Write the job down, and add the event that asks for it to the outbox.

    Raises:
        NotKnown, NotPossible, NotNow, UnfitParameters: as above.
    """
    offered = checking.find(session, kind)
    offered.check(parameters)
    job_id = asked.job_id or str(uuid7())
    event = JobRequested(job_id=job_id, kind=kind, parameters=dict(parameters))
    envelope = announce(event, source=asked.source, cause=asked.cause, traceparent=asked.traceparent)
    new = NewJob(
        id=job_id,
        kind=kind,
        parameters=event.parameters,
        unique_key=offered.unique_key(parameters),
        event_id=envelope.id,
        requested_by=asked.requested_by,
    )
    stored = None
    if new.unique_key is None and asked.job_id is None:
        stored = jobs.add_another(session, new)
    elif (other := _other(session, offered, new)) is not None:
        return Started(other, is_new=False)
    try:
        outbox.add(session, envelope)
    except TooLarge as error:
        raise UnfitParameters([(("parameters",), "too_large", f"They make a message of {error}.")]) from None
    return Started(job_id, is_new=True, stored=stored)


def _other(session: Session, offered: Offered, new: NewJob) -> str | None:
    """Write it down, or give the one that stands in its place.

    Raises:
        AlreadyOpen, NotNow: its kind refuses a second one, or the one to join is being cancelled.
    """
    for _ in range(_TRIES):
        # Looked for first: on PostgreSQL, who adds a second one waits until a `step` of the other one is through.
        other = new.unique_key and jobs.open_one(session, new.kind, new.unique_key)
        if not other and jobs.add(session, new):
            return None
        if jobs.exists(session, new.id):
            return new.id
        if other:
            return _joined(offered, new.kind, other)
    raise NotPossible("Jobs with these parameters come and go at this moment: try again.")


def _joined(offered: Offered, kind: str, other: Open) -> str:
    if offered.unique != "join":
        raise AlreadyOpen(kind, other.id)
    if other.is_cancelled:  # whoever joined it would see it end, and have nothing
        raise NotNow(f"The job /jobs/{other.id} with these parameters is being cancelled: ask again when it is over.")
    return other.id
