"""Editing: what an event should have said becomes an event of its own, and the letter of the wrong one is closed."""

from dataclasses import replace
from typing import Any

from sqlmodel import Session

from events import strict_json
from events.attributes import is_id, traceparent_or_none
from events.envelope import MAX_BYTES, Envelope, Event, announce, event_types
from events.errors import NotJson, TooLarge
from infra.database import audit, closing, outbox
from infra.database.recovery_tables import DeadLetter
from infra.errors import NotPossible
from infra.fitting import fitting, of_a_family, too_large
from infra.recovery.letters import find, require_open

#: `source` of an edited event: no program announced it.
SOURCE = "/operators"


def edit(session: Session, letter_id: str, data: dict[str, Any], *, who: str, why: str) -> str:
    """Announce the letter's event anew with this data, caused by the old one, and close the letter; gives the new id.

    It goes to every consumer of its type, as any new event does: those that handled the old one are told the truth.

    Raises:
        NotKnown: there is no such letter.
        NotPossible: it does not wait, or nobody can say of which type its event was.
        DoesNotFit: the data is wrong for that type.
    """
    letter = find(session, letter_id)
    require_open(letter)
    if letter.state != "waiting":
        raise NotPossible("This dead letter is being replayed: stop that first, or wait for its end.")
    made = _event_after(letter, fitting(_event_class(letter), data))
    try:
        outbox.add(session, made)
    except TooLarge as error:
        raise too_large(error) from None
    if not closing.close(session, letter, "superseded", made.id):
        raise NotPossible("This dead letter has changed meanwhile: look at it again.")
    details = {"consumer": letter.consumer, "event_id": letter.event_id, "type": made.type, "new_event_id": made.id}
    audit.write(session, who=who, action="dead-letter.edit", target=letter_id, why=why, details=details)
    return made.id


def _event_class(letter: DeadLetter) -> type[Event]:
    event_type = letter.type or _attributes(letter).get("type")
    if not isinstance(event_type, str):
        raise NotPossible("This dead letter cannot be edited: its message does not say of which type it is.")
    if of_a_family(event_type):
        raise NotPossible("This dead letter asks for a job: have another one done, by POST /jobs.")
    if event_type not in event_types():
        raise NotPossible("This dead letter cannot be edited: this program does not know events of its type.")
    return event_types()[event_type]


def _event_after(letter: DeadLetter, event: Event) -> Envelope:
    """The new event, with the old one as its cause as far as that can be known."""
    old = _attributes(letter)
    made = announce(event, source=SOURCE, traceparent=traceparent_or_none(old.get("traceparent")))
    cause = letter.event_id if is_id(letter.event_id) else None
    first = old.get("correlationid") if is_id(old.get("correlationid")) else cause
    return replace(made, correlation_id=first or made.id, causation_id=cause, replay_of=cause)


def _attributes(letter: DeadLetter) -> dict[str, Any]:
    """What can be read of the message's envelope."""
    try:
        message = strict_json.read(letter.body) if len(letter.body) <= MAX_BYTES else None
    except NotJson:
        return {}
    return message if isinstance(message, dict) else {}
