"""Dead letters, operations and deeds as operators see them: the same words over HTTP and on the command line."""

from base64 import b64encode
from datetime import datetime
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, Field

from events import strict_json
from events.envelope import MAX_BYTES
from events.errors import NotJson
from infra.database.recovery_tables import DeadLetter, Operation

LetterState = Literal["waiting", "queued", "replaying", "handled", "discarded", "superseded", "erased"]
Reason = Literal[
    "handler-error", "not-json", "unknown-type", "newer-version", "invalid-data", "too-large", "too-old",
    "delivery-limit", "loop", "skipped", "retired",
]  # fmt: skip
OperationState = Literal["running", "stopping", "stopped", "done", "failed"]
#: States in which a letter still asks for somebody's attention: what lists show when no state is asked for.
OPEN: tuple[LetterState, ...] = ("waiting", "queued", "replaying")
EVERY_STATE: tuple[LetterState, ...] = get_args(LetterState)


class LetterView(BaseModel, from_attributes=True):
    """A dead letter without its message."""

    id: str
    consumer: str
    state: LetterState = Field(
        description="waiting: for an operator; queued: an operation will replay it; replaying: on its way; "
        "handled: its replay succeeded; discarded; superseded: an edited event took its place."
    )
    event_id: str | None = Field(description="See `/events/{id}`; null when the message has none that can be read.")
    type: str | None
    subject: str | None
    reason: str
    exception: str | None = Field(description="Class of the exception.")
    error: str
    frame: str | None = Field(description="`file:line in function`: the first that is the application's own.")
    fingerprint: str = Field(description="The same for failures of one consumer with the same cause.")
    attempts: int
    replays: int
    first_failed_at: datetime
    last_failed_at: datetime
    version: str = Field(description="Of Tidings, when it gave up.")
    operation_id: str | None = Field(description="The operation that replays it.")
    replayed_at: datetime | None = Field(description="When its last replay began.")
    closed_at: datetime | None
    closed_with: str | None = Field(description="Why it was closed; of a superseded one, the id of the new event.")


class LetterInFull(LetterView):
    """A dead letter with its message: as JSON where it is a JSON object, else as bytes."""

    size: int = Field(description="Bytes of the message.")
    envelope: dict[str, Any] | None = Field(default=None, description="The message's attributes, without the data.")
    data: Any = Field(default=None, description="The event's data.")
    body: str | None = Field(
        default=None, description=f"What is no JSON object: base64 of its first {MAX_BYTES // 1024} KiB."
    )

    @classmethod
    def of(cls, row: DeadLetter) -> Self:
        """The letter of this row."""
        head = LetterView.model_validate(row).model_dump()
        message = _object(row.body)
        if message is None:
            return cls(**head, size=len(row.body), body=b64encode(row.body[:MAX_BYTES]).decode())
        return cls(**head, size=len(row.body), data=message.pop("data", None), envelope=message)


class GroupView(BaseModel, from_attributes=True):
    """Dead letters with the same cause."""

    fingerprint: str
    consumer: str
    reason: str
    exception: str | None
    frame: str | None
    count: int
    first_at: datetime
    last_at: datetime
    sample: str = Field(description="The id of the newest of them.")


class PreviewView(BaseModel, from_attributes=True):
    """What a replay would do to the letters that wait."""

    total: int = Field(description="Waiting letters that the filters choose.")
    would_run: int = Field(description="Those whose handler would run.")
    already_handled: int = Field(description="Those handled by another way: closed, and run with `force` only.")
    effects: int = Field(description="Effects that happened already, and would happen again with `force`.")
    by_consumer: dict[str, int] = Field(description="How many would run, for each consumer.")


class OperationView(BaseModel):
    """Something long that an operator started, and how far it is."""

    id: str
    kind: str = Field(examples=["replay"])
    state: OperationState
    progress: float = Field(description="From 0 to 1: the part that has ended, well or not.")
    total: int
    sent: int
    handled: int
    failed: int
    message: str = Field(description="Where it stands, or why it ended.")
    request: dict[str, Any] = Field(description="What was asked for.")
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: Operation) -> Self:
        """The operation of this row."""
        progress = (row.handled + row.failed) / row.total if row.total else 1.0
        return cls(**row.model_dump(), progress=round(progress, 4))


class DeedView(BaseModel, from_attributes=True):
    """One thing that an operator did."""

    id: str
    at: datetime
    who: str = Field(description="The header Tidings-Operator, or the user of the command line.")
    action: str = Field(examples=["dead-letter.replay"])
    target: str = Field(description="Id or name of what it was done to.")
    why: str
    details: dict[str, Any]


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        message = strict_json.read(body) if len(body) <= MAX_BYTES else None
    except NotJson:
        return None
    return message if isinstance(message, dict) else None
