"""Jobs that schedules ask for: an event at each due time, as any other, and the row that belongs to it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import Session

from events.clock import due_id
from events.envelope import Event
from events.jobs import JobRequested
from infra.database import jobs
from infra.database.jobs import NewJob
from infra.errors import NotKnown, NotPossible
from infra.fitting import DoesNotFit, UnfitParameters, fitting
from infra.jobs import checking

_PREFIX = f"{JobRequested.TYPE}."


def kind_of(event_type: str) -> str | None:
    """The kind that events of this type ask for; None: they ask for no job."""
    return event_type.removeprefix(_PREFIX) if event_type.startswith(_PREFIX) else None


def request(schedule: str, kind: str, parameters: Mapping[str, Any], due: datetime) -> Event:
    """The event of one due time: of the same job in every process.

    Raises:
        DoesNotFit: no kind can have this name.
    """
    job_id = UUID(due_id(f"job of {schedule}", due))
    return fitting(JobRequested, {"job_id": job_id, "kind": kind, "parameters": dict(parameters)})


def check(session: Session, event_type: str, parameters: Mapping[str, Any]) -> None:
    """Refuse a schedule whose jobs nobody would take; nothing of what is of another type.

    Raises:
        DoesNotFit: there is no such kind, or it does not take the parameters.
        NotPossible: it is on its way out.
    """
    if (kind := kind_of(event_type)) is None:
        return
    try:
        checking.find(session, kind).check(parameters)
    except NotKnown as error:
        raise DoesNotFit([(("type",), "unknown_kind", str(error))]) from None
    except UnfitParameters as error:
        raise UnfitParameters([(("data", *place[1:]), name, text) for place, name, text in error.errors]) from None


def hindrance(session: Session, event: Event) -> str | None:
    """Why the job that is due cannot be asked for; None: nothing is in the way, or the event asks for none."""
    if not isinstance(event, JobRequested):
        return None
    try:
        kind = checking.find(session, event.kind)
        kind.check(event.parameters)
    except (NotKnown, NotPossible, DoesNotFit) as error:
        return f"No job was asked for: {error}"
    return _still_open(session, event.kind, kind.unique_key(event.parameters))


def admit(session: Session, event: Event | None, event_id: str, schedule: str) -> str | None:
    """Write the job down that this event asks for; gives why it cannot be: what `hindrance` did not see yet.

    None: it is written down, or no job is asked for.
    """
    if not isinstance(event, JobRequested):
        return None
    kind = checking.described(session, event.kind)
    new = NewJob(
        id=str(event.job_id),
        kind=event.kind,
        parameters=event.parameters,
        unique_key=None if kind is None else kind.unique_key(event.parameters),
        event_id=event_id,
        requested_by=f"schedule {schedule}",
    )
    if jobs.add(session, new):
        return None
    same = "No job was asked for: the same one had been asked for already."
    return _still_open(session, new.kind, new.unique_key) or same


def _still_open(session: Session, kind: str, unique_key: str | None) -> str | None:
    other = unique_key and jobs.open_one(session, kind, unique_key)
    return f"No job was asked for: /jobs/{other.id} is still open." if other else None
