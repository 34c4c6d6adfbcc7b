"""Jobs over HTTP: what is asked for, and which ones are looked at."""

from typing import Any

from pydantic import BaseModel, Field

from gateway.pages import Moment, Paging, Text
from infra.jobs.views import JobState


class NewJob(BaseModel, extra="forbid", frozen=True):
    """A job that is to be done."""

    kind: str = Field(max_length=255, examples=["activity-report"], description="See `/job-kinds`.")
    parameters: dict[str, Any] = Field(default={}, description="As the kind takes them.", examples=[{}])
    why: Text | None = Field(default=None, description="For the audit.")


class JobFilter(Paging):
    """Which jobs."""

    kind: Text | None = Field(default=None, examples=["activity-report"])
    state: JobState | None = None
    requested_by: Text | None = Field(default=None, description="`operator`, or the consumer that asked for it.")
    since: Moment | None = Field(default=None, description="Asked for at this moment or after it.")
    until: Moment | None = Field(default=None, description="Asked for before this moment.")


class KindFilter(Paging):
    """Which kinds."""

    text: Text | None = Field(default=None, description="Those whose name holds this.")
