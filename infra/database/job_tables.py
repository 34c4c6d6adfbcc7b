"""The schema of jobs: what is asked for, how far it has come, and the files that are its result."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, Index, text
from sqlmodel import Field, SQLModel

from infra.database.tables import BIG, BY_KEY, UtcDateTime

#: States in which there is work left; who asks for some of these says it in the same words.
OPEN = "state IN ('queued', 'running', 'retrying')"
_OPEN = text(OPEN)
_HELD = text("state = 'running'")
_STORED = text("key IS NOT NULL")


class Job(SQLModel, table=True):
    """Something long that somebody asked for: the message says that it is to be done, the row what became of it."""

    __tablename__ = "job"
    __table_args__ = (
        Index("job_kind", "kind", "id"),
        Index("job_state", "state", "id"),
        Index("job_requester", "requested_by", "id"),
        Index("job_unique", "kind", "unique_key", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("job_held", "busy_until", sqlite_where=_HELD, postgresql_where=_HELD),
    )
    #: UUIDv7; the subject of its event.
    id: str = Field(primary_key=True)
    kind: str
    #: `queued`, `running`, `retrying`, `succeeded`, `failed`, `cancelled`.
    state: str
    parameters: dict[str, Any] = Field(sa_type=JSON)
    #: Of a unique kind: the hash of its parameters. There is one open job with the same one at most.
    unique_key: str | None = None
    #: The event that asks for it.
    event_id: str = Field(unique=True)
    #: Who asked: `operator`, or the consumer that did.
    requested_by: str
    #: 0 to 1, and a line for people.
    progress: float = 0.0
    progress_text: str = ""
    #: Tries that began; what is handed back and goes on elsewhere is the same try.
    attempts: int = 0
    #: Why its last try failed, or why it was cancelled.
    error: str | None = None
    created_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: When its next try is due, while it is retrying.
    retry_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: Since when it is to be cancelled; one that runs sees it at its next look.
    cancelled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: The process that works on it (`infra.owners`), and until when nobody else may, unless that one is gone.
    owner: str | None = None
    busy_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: Where the work goes on after a crash, a restart, or when it is handed back: whatever its handler wrote down.
    checkpoint: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    checkpoint_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: Effects that checkpoints have committed: the next one's ordinal.
    effects: int = 0
    #: Seconds of work in tries and stints that are over.
    worked: float = 0.0


class JobFile(SQLModel, table=True):
    """A file of a job's result; the first one is what the job's result is."""

    __tablename__ = "job_file"
    __table_args__: ClassVar[Any] = (
        Index("job_file_expiry", "expires_at", sqlite_where=_STORED, postgresql_where=_STORED),
        BY_KEY,
    )
    job_id: str = Field(primary_key=True)
    #: Order in which they were made, from 0.
    ordinal: int = Field(primary_key=True)
    #: As it is called when somebody keeps it: `report.csv`.
    name: str
    media_type: str
    #: Where the store has it; None when it is there no more.
    key: str | None
    size: int = Field(sa_type=BIG)
    #: SHA-256 of the content, hexadecimal: its entity tag.
    digest: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    #: None: it is kept for ever.
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
