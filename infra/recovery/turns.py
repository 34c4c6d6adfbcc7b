"""Subjects that wait at an ordered consumer, as operators see them, and how one goes on without what blocks it."""

from datetime import UTC, datetime

from pydantic import BaseModel, Field
from sqlmodel import Session

from infra.database import audit, dead_letters, event_log, inbox, releases, turns, waiting
from infra.database.letters import Letter
from infra.database.recovery_tables import DeadLetter
from infra.database.turns import Place
from infra.database.waiting import Subject
from infra.errors import NotKnown, NotPossible
from infra.recovery import deliveries
from infra.recovery.consumers import recorded
from infra.recovery.deliveries import Delivery, State
from infra.recovery.letters import find
from infra.version import version


class BlockerView(BaseModel):
    """The event that a subject waits for."""

    event_id: str = Field(description="See `/events/{id}`.")
    type: str
    position: int
    state: State
    attempts: int
    error: str | None = Field(description="Class of the error of its last try.")
    retry_at: datetime | None = Field(description="While it is retrying: when it is tried again.")


class WaitingView(BaseModel):
    """A subject of which events wait for their turn."""

    subject: str
    events: int = Field(description="How many wait.")
    since: datetime = Field(description="When the first of them came.")
    first: int = Field(description="Position in the log of the first of them.")
    blocked_by: BlockerView | None = Field(description="Null: nothing any more, it goes on in a moment.")


def oldest(session: Session, name: str, *, subject: str | None = None, after: int = 0, limit: int) -> list[WaitingView]:
    """Subjects that wait at a consumer, by the position of what waits first, from after this one on.

    Raises:
        NotKnown: no consumer of this name is recorded.
    """
    types = recorded(session, name).types
    found = waiting.subjects(session, name, subject=subject, after=after, limit=limit)
    places = {each.subject: _blocker(session, name, types, each) for each in found}
    told = deliveries.of(session, [each.event_id for each in places.values() if each])
    return [_view(name, each, places[each.subject], told) for each in found]


def skip(session: Session, name: str, subject: str, *, who: str, why: str) -> DeadLetter:
    """Give up the event that a subject waits for; gives its dead letter, from which it may be replayed.

    What is at work on it at this moment is undone, and a copy that returns later is dropped. The rest of the subject
    goes on at once.

    Raises:
        NotKnown: no consumer of this name is recorded, or nothing of this subject waits there.
        NotPossible: nothing blocks it any more.
    """
    types = recorded(session, name).types
    found = waiting.subjects(session, name, subject=subject, limit=1)
    if not found:
        raise NotKnown("No event of this subject waits at this consumer.")
    blocker = _blocker(session, name, types, found[0])
    if blocker is None or not _gave_up(session, name, blocker, why):
        raise NotPossible("Nothing blocks this subject any more: it goes on in a moment.")
    letter_id = dead_letters.keep(session, _letter(session, name, blocker, why))
    waiting.take(session, name, [blocker.position])
    releases.release(session, name, subject, types)
    details = {"subject": subject, "event_id": blocker.event_id, "type": blocker.type, "dead_letter": letter_id}
    audit.write(session, who=who, action="consumer.skip", target=name, why=why, details=details)
    return find(session, letter_id)


def _blocker(session: Session, name: str, types: list[str], one: Subject) -> Place | None:
    head = turns.place_at(session, one.first, name)
    if head is None or head.has_ended:
        return None
    position = turns.first_open(session, name, types, head)
    return None if position is None else turns.place_at(session, position, name)


def _gave_up(session: Session, name: str, blocker: Place, why: str) -> bool:
    """Write that it is dead, unless it has ended since it was looked at."""
    delivery = inbox.Delivery(blocker.event_id, name, blocker.attempts or 0, datetime.now(UTC), ordered=True)
    inbox.fail(session, delivery, f"skipped: {why}", None)
    entry = inbox.look(session, blocker.event_id, name)
    return entry is not None and entry.state == "dead"


def _letter(session: Session, name: str, blocker: Place, why: str) -> Letter:
    now, (event,) = datetime.now(UTC), event_log.at(session, [blocker.position])
    return Letter(
        key=f"{name}/{blocker.event_id}",
        consumer=name,
        event_id=blocker.event_id,
        type=blocker.type,
        subject=blocker.subject,
        reason="skipped",
        exception=None,
        error=f"skipped: {why}",
        frame=None,
        attempts=blocker.attempts or 0,
        first_failed_at=now,
        last_failed_at=now,
        version=version(),
        body=event.body.encode(),
        is_replay=blocker.letter == "replaying",
    )


def _view(name: str, one: Subject, blocker: Place | None, told: dict[str, list[Delivery]]) -> WaitingView:
    counts = {"subject": one.subject, "events": one.events, "since": one.since, "first": one.first}
    return WaitingView(**counts, blocked_by=None if blocker is None else _blocked_by(name, blocker, told))


def _blocked_by(name: str, one: Place, told: dict[str, list[Delivery]]) -> BlockerView:
    states: list[State] = [each.state for each in told.get(one.event_id, []) if each.consumer == name]
    return BlockerView(
        event_id=one.event_id,
        type=one.type,
        position=one.position,
        state=states[0] if states else "pending",
        attempts=one.attempts or 0,
        error=one.error.partition(":")[0] if one.error else None,
        retry_at=one.retry_at,
    )
