"""A job as everybody outside sees it: over HTTP, in streams and on the command line."""

import json
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import Row

from events.attributes import write_time
from infra.database.jobs import Stored

JobState = Literal["queued", "running", "retrying", "succeeded", "failed", "cancelled"]
STATES = (
    "queued: nobody works on it; running; retrying: its last try failed, and the next is at `retry_at`; succeeded; "
    "failed: it was given up, and its dead letter can be replayed; cancelled."
)
_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class JobFileView(BaseModel):
    """A file of a job's result."""

    name: str
    media_type: str
    size: int = Field(description="Bytes.")
    href: str
    expires_at: datetime | None = Field(description="When it is removed; null: never.")
    expired: bool = Field(description="It is there no more.")


class JobView(BaseModel):
    """One job: what was asked for, how far it is, and where its result is."""

    id: str
    kind: str = Field(examples=["activity-report"])
    state: JobState = Field(description=STATES)
    cancelling: bool = Field(description="It runs, and is to end at its next look.")
    parameters: dict[str, Any]
    progress: float = Field(description="0 to 1, as far as the job says it.")
    progress_text: str
    attempts: int = Field(description="Tries that began.")
    error: str | None = Field(description="Why its last try failed, or why it was cancelled.")
    requested_by: str
    worker: str | None = Field(description="Host and process that works on it, or did last.")
    event_id: str = Field(description="The event that asks for it: see `/events/{id}`.")
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None
    retry_at: datetime | None
    checkpoint_at: datetime | None = Field(description="When it last wrote down where to go on.")
    result: str | None = Field(description="Where its result is, as long as that is kept.")
    files: list[JobFileView] = Field(description="All files of its result; the first one is the main one.")


def is_over(state: str) -> bool:
    """Whether nothing more becomes of it, unless its dead letter is replayed."""
    return state in {"succeeded", "failed", "cancelled"}


def as_dict(stored: Stored) -> dict[str, Any]:
    """What `JobView` describes, made without it: status is asked for often."""
    job = stored.job
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "cancelling": job.cancelled_at is not None and not is_over(job.state),
        "parameters": job.parameters,
        "progress": job.progress,
        "progress_text": job.progress_text,
        "attempts": job.attempts,
        "error": job.error,
        "requested_by": job.requested_by,
        "worker": _worker(job.owner),
        "event_id": job.event_id,
        "created_at": write_time(job.created_at),
        "started_at": _time(job.started_at),
        "updated_at": write_time(job.updated_at),
        "finished_at": _time(job.finished_at),
        "retry_at": _time(job.retry_at),
        "checkpoint_at": _time(job.checkpoint_at),
        "result": result_of(stored),
        "files": [
            {
                "name": each.file_name,
                "media_type": each.file_media_type,
                "size": each.file_size,
                "href": f"/jobs/{job.id}/result/{each.file_name}",
                "expires_at": _time(each.file_expires_at),
                "expired": not _is_kept(each),
            }
            for each in stored.files
        ],
    }


def as_json(stored: Stored) -> str:
    """The same as text."""
    return _write(as_dict(stored))


def result_of(stored: Stored) -> str | None:
    """Where the result is; None while there is none, or none any more."""
    if stored.job.state != "succeeded" or not stored.files or not _is_kept(stored.files[0]):
        return None
    return f"/jobs/{stored.job.id}/result"


def _is_kept(file: Row[Any]) -> bool:
    """Whether it can still be read: its time is over before it is removed."""
    until = file.file_expires_at
    return file.file_key is not None and (until is None or until > datetime.now(UTC))


def _worker(owner: str | None) -> str | None:
    """Host and process of a name of `infra.owners`, without the chance in it."""
    return None if owner is None else owner.partition(" ")[0].rpartition("-")[0]


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else write_time(moment)
