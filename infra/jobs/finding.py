"""Finding jobs, and the kinds that there are."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlmodel import Session

from infra.database import consumers, jobs
from infra.database.jobs import Filter, Stored
from infra.errors import NotKnown
from infra.jobs.kinds import Unique

__all__ = ["Filter", "KindView", "Stored", "find", "kinds", "page"]


class KindView(BaseModel):
    """A kind of jobs."""

    name: str = Field(examples=["activity-report"])
    description: str
    state: Literal["offered", "retiring"] = Field(description="retiring: it takes no new jobs.")
    parameters: dict[str, Any] = Field(description="JSON Schema of what it takes.")
    media_type: str | None = Field(description="Of its main file; null: it says none, or has none.")
    result: dict[str, Any] | None = Field(description="JSON Schema of what it gives, where that is JSON.")
    unique: Unique | None = Field(
        description="What becomes of a second request with the same parameters while the first one's job is open: "
        "refuse (409), join (200 with that job); null: another job."
    )
    announces: bool = Field(description="`job.ended` is published at the end of each.")
    concurrency: int | None = Field(description="Jobs at once in each process.")
    timeout: float | None = Field(description="Seconds of work that a try may take.")


def find(session: Session, job_id: str) -> Stored:
    """One job, with its files.

    Raises:
        NotKnown: there is none with this id.
    """
    if (found := jobs.find(session, job_id)) is None:
        raise NotKnown("No job has this id.")
    return found


def page(session: Session, wanted: Filter, *, before: str | None, limit: int) -> Sequence[Stored]:
    """The newest first, from before the one with this id on."""
    return jobs.page(session, wanted, before=before, limit=limit)


def kinds(
    session: Session, *, text: str | None = None, after: str | None = None, limit: int | None = None
) -> list[KindView]:
    """Those that are recorded, by name; `text` asks for those whose name holds it."""
    rows = [row for row in consumers.everyone(session) if row.options.get("job")]
    chosen = [row for row in rows if (after is None or row.consumer > after) and (text is None or text in row.consumer)]
    return [_kind(row) for row in chosen[:limit]]


def _kind(row: Any) -> KindView:
    job = row.options["job"]
    return KindView(
        name=row.consumer,
        description=row.description,
        state="offered" if row.retiring_since is None else "retiring",
        announces=job["announce"],
        concurrency=row.options.get("concurrency"),
        timeout=row.options.get("timeout"),
        **{name: job[name] for name in ("parameters", "media_type", "result", "unique")},
    )
