"""What comes in from the bus, and how it can end: the words that the broker and the delivery share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message as it was taken from a consumer's queue; its text form never shows the body."""

    body: bytes = field(repr=False)
    #: 1 for the first try; the header `x-attempt`, which is ours, carries it over the retry tiers.
    attempt: int = 1
    #: The broker says that it delivered this message before (crash, lost connection).
    redelivered: bool = False
    #: Set by an operator's replay.
    replay: bool = False
    #: The dead letter that is replayed, if that is what this is.
    dead_letter: str | None = None
    #: Of an event of the past, which is new to this consumer all the same: when its backfill sent it.
    backfilled_at: datetime | None = None
    #: All headers, as the sender has them.
    headers: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Done:
    """Everything that the event asked of this consumer is done and committed: acknowledge."""

    #: Its consumer does not want the event, so this says nothing of the handler.
    filtered: bool = False


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Nothing was done, nor need be: it waits in the database for its turn, or was given up already. Acknowledge."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Publish a copy to the retry tier for `delay` seconds, wait for its confirm, then acknowledge."""

    delay: int
    error: str
    #: Class of the exception, with its module; None when there was none.
    exception: str | None = field(default=None, compare=False)
    #: Number of the try that failed.
    attempt: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Park:
    """Publish a copy to the dead letters, wait for its confirm, then acknowledge."""

    #: One of the reason classes of the dead letters: handler-error, not-json, unknown-type, …
    reason: str
    error: str
    #: Class of the exception, with its module; None when there was none.
    exception: str | None = None
    #: First frame of the application's own: `file:line in function`.
    frame: str | None = None
    #: When its first try began, as far as it is known.
    first_at: datetime | None = None
    #: Number of the try that failed.
    attempt: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that all deliveries need is away (the database): keep the message and try again without counting."""

    error: str
    #: Only this message is held: it goes back to its queue for a while, and nobody waits for it.
    alone: bool = False


@dataclass(frozen=True, slots=True)
class ComeBack:
    """It cannot be handled now, and that is no failure: as `RetryLater`, but the copy is the same try."""

    delay: int
    reason: str


Outcome = Done | PassedOver | RetryLater | ComeBack | Park | Hold
