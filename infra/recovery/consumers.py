"""The consumers as operators see them, and how an operator pauses one and lets it go on: over HTTP and by command."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlmodel import Session

from infra.database import audit, consumers, event_log, pauses, positions, waiting
from infra.database.pauses import OPERATOR
from infra.database.recovery_tables import Pause
from infra.database.tables import Subscription
from infra.errors import NotKnown, NotPossible
from infra.recovery.options import OptionsView

ConsumerState = Literal["running", "paused", "probing", "retiring"]


class PauseView(BaseModel, from_attributes=True):
    """Why a consumer takes no messages."""

    by: Literal["operator", "failures"] = Field(description="failures: it paused itself, and goes on by itself.")
    reason: str
    since: datetime
    probe_at: datetime | None = Field(
        description="When the next single message is tried; while probing, until when that is one process's to do. "
        "Null: not before an operator resumes it."
    )


class ConsumerView(BaseModel):
    """One consumer: what it takes, whether it does, and how far it has come."""

    name: str
    description: str
    types: list[str] = Field(description="Event types; `#` for all.")
    state: ConsumerState = Field(
        description="probing: paused, and a single message is awaited or tried; retiring: it leaves."
    )
    pause: PauseView | None = Field(description="Null while it runs.")
    settled: int = Field(description="Each event for it up to this position is handled, or a dead letter.")
    last: int = Field(description="Position of the newest event in the log.")
    lag_events: int = Field(description="Events for it that are not settled.")
    lag_seconds: float = Field(description="Age of the oldest of them.")
    resent: int = Field(description="Events that the sweep sent to it again, in all.")
    waiting_events: int = Field(description="Events that wait for an earlier one of their subject.")
    waiting_subjects: int = Field(description="Subjects of which events wait; see `/consumers/{name}/waiting`.")
    since: int = Field(description="It counts from after this position.")
    declared_at: datetime
    options: OptionsView = Field(default_factory=OptionsView)


def newest(
    session: Session,
    *,
    state: ConsumerState | None = None,
    type: str | None = None,  # noqa: A002  # the filter's own name
    after: str | None = None,
    limit: int,
) -> list[ConsumerView]:
    """Recorded consumers by name, those that come after one; `type` asks for those that take events of this type."""
    rows = consumers.everyone(session)
    if type is not None:
        rows = consumers.takers(rows, type)
    paused, now = pauses.paused(session), datetime.now(UTC)
    chosen = [
        row
        for row in rows
        if (after is None or row.consumer > after) and state in {None, _state(row, paused.get(row.consumer), now)}
    ]
    return _views(session, chosen[:limit], paused)


def find(session: Session, name: str) -> ConsumerView:
    """One consumer.

    Raises:
        NotKnown: no consumer of this name is recorded.
    """
    (view,) = _views(session, [recorded(session, name)], pauses.paused(session))
    return view


def pause(session: Session, name: str, *, who: str, why: str) -> ConsumerView:
    """Have a consumer take nothing, in every process within two seconds, until somebody resumes it.

    Raises:
        NotKnown: no consumer of this name is recorded.
        NotPossible: an operator has paused it already.
    """
    before = pauses.paused(session).get(_staying(session, name).consumer)
    if not pauses.pause(session, name, OPERATOR, why):
        raise NotPossible("An operator has paused this consumer already.")
    audit.write(session, who=who, action="consumer.pause", target=name, why=why, details=_details(before))
    return find(session, name)


def resume(session: Session, name: str, *, who: str, why: str) -> ConsumerView:
    """Let a consumer take messages again, whoever paused it.

    Raises:
        NotKnown: no consumer of this name is recorded.
        NotPossible: it is not paused.
    """
    before = pauses.paused(session).get(_staying(session, name).consumer)
    if not pauses.resume(session, name):
        raise NotPossible("This consumer is not paused.")
    audit.write(session, who=who, action="consumer.resume", target=name, why=why, details=_details(before))
    return find(session, name)


def recorded(session: Session, name: str) -> Subscription:
    """The record of a consumer.

    Raises:
        NotKnown: no consumer of this name is recorded.
    """
    for row in consumers.everyone(session):  # a few rows, and no text of a stranger's in a query
        if row.consumer == name:
            return row
    raise NotKnown("No consumer has this name.")


def _staying(session: Session, name: str) -> Subscription:
    row = recorded(session, name)
    if row.retiring_since is not None:
        raise NotPossible("This consumer is being retired: ./tidings operations list shows how far that is.")
    return row


def _views(session: Session, rows: list[Subscription], paused: Mapping[str, Pause]) -> list[ConsumerView]:
    last, now = event_log.last_position(session), datetime.now(UTC)
    counts = waiting.counts(session)
    # What is published since one began to retire is not for it.
    upto = {row.consumer: last if row.retiring_since is None else row.scanned for row in rows}
    return [
        _view(
            row,
            paused.get(row.consumer),
            positions.of(session, row, upto[row.consumer]),
            counts.get(row.consumer, waiting.Count()),
            now,
        )
        for row in rows
    ]


def _view(
    row: Subscription, pause: Pause | None, standing: positions.Standing, waits: waiting.Count, now: datetime
) -> ConsumerView:
    return ConsumerView(
        name=row.consumer,
        description=row.description,
        types=row.types,
        state=_state(row, pause, now),
        pause=None if pause is None else PauseView.model_validate(pause),
        settled=standing.settled,
        last=standing.last,
        lag_events=standing.lag_events,
        lag_seconds=standing.lag_seconds,
        resent=standing.resent,
        waiting_events=waits.events,
        waiting_subjects=waits.subjects,
        since=row.since,
        declared_at=row.declared_at,
        options=OptionsView.model_validate(row.options),
    )


def _state(row: Subscription, pause: Pause | None, now: datetime) -> ConsumerState:
    if row.retiring_since is not None:
        return "retiring"
    if pause is None:
        return "running"
    # A prober that died keeps the probe until its time is over, and nothing is tried after that.
    is_tried = pause.prober is not None and pause.probe_at is not None and pause.probe_at > now
    return "probing" if is_tried else "paused"


def _details(before: Pause | None) -> dict[str, Any]:
    """What the audit keeps of the pause that was there."""
    if before is None:
        return {}
    return {"paused_by": before.by, "paused_since": before.since.isoformat(), "paused_because": before.reason}
