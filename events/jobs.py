"""Work that takes a while: asked for, and ended."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from events.envelope import Event

#: The durable name of a kind of jobs, which is the name of the consumer that works them off.
Kind = Annotated[
    str,
    Field(
        max_length=100,
        pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
        description="The durable name of a kind of jobs.",
        examples=["activity-report"],
    ),
]


class JobRequested(Event, type="job.requested", version=1, subject="job_id", member="kind"):
    """Somebody wants a job of this kind done; on the wire the type ends in the kind."""

    job_id: UUID
    kind: Kind
    parameters: dict[str, Any] = Field(description="As the kind takes them.", examples=[{"since": "2026-11-01"}])


class JobEnded(Event, type="job.ended", version=1, subject="job_id"):
    """A job is over, one way or another; only kinds that say so announce it."""

    job_id: UUID
    kind: Kind
    state: Literal["succeeded", "failed", "cancelled"]
