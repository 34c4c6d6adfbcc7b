"""Discarding: a letter is closed without its event being handled; the row stays, with the reason."""

from sqlmodel import Session

from infra.database import audit, closing, releases
from infra.database.recovery_tables import DeadLetter
from infra.errors import NotPossible
from infra.recovery.letters import find, require_open


def discard(session: Session, letter_id: str, *, who: str, why: str) -> DeadLetter:
    """Close the letter; gives it as it is then.

    One that is on its way for a single replay may be discarded too: should that be lost, nobody need wait for it.

    Raises:
        NotKnown: there is no such letter.
        NotPossible: it is closed, or an operation has it.
    """
    letter = find(session, letter_id)
    require_open(letter)
    if letter.state != "waiting" and letter.operation_id is not None:
        raise NotPossible(f"The operation {letter.operation_id} replays this dead letter: stop that first.")
    if not closing.close(session, letter, "discarded", why):
        raise NotPossible("This dead letter has changed meanwhile: look at it again.")
    details = {"consumer": letter.consumer, "event_id": letter.event_id, "type": letter.type, "reason": letter.reason}
    if letter.subject is not None:
        releases.release(session, letter.consumer, letter.subject)  # a replay that was on its way kept others waiting
    audit.write(session, who=who, action="dead-letter.discard", target=letter_id, why=why, details=details)
    return find(session, letter_id)
