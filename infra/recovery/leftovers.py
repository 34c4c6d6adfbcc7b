"""What the database has for a consumer that retires goes to the dead letters."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlmodel import Session

from infra.database import dead_letters, event_log, replays, resends, retirements
from infra.database.letters import Letter
from infra.database.recovery_tables import Resend
from infra.database.tables import EventLog
from infra.outcomes import Park
from infra.version import version

#: What becomes of everything that is left.
RETIRED = Park("retired", "Its consumer was retired before it was handled.")
#: Events of one transaction.
_AT_ONCE = 200


def give_up_elsewhere(session: Session, consumer: str) -> int:
    """Give up what waits for its turn, or to be sent; gives how many that were."""
    waiting = retirements.waiting(session, consumer, _AT_ONCE)
    _keep(session, _logged(consumer, waiting))
    retirements.stop_waiting(session, consumer, [row.event_id for row in waiting])
    sent = retirements.resends(session, consumer, _AT_ONCE)
    for row in sent:
        _give_up(session, row)
    resends.remove(session, sent)
    return len(waiting) + len(sent)


def give_up_lost(session: Session, consumer: str) -> int:
    """Give up what is neither settled nor anywhere on its way; gives how many that were."""
    lost = retirements.still_open(session, consumer, _AT_ONCE)
    _keep(session, _logged(consumer, lost))
    return len(lost)


def _give_up(session: Session, row: Resend) -> None:
    """A replay's letter waits again; what the sweep would have sent becomes one."""
    if row.dead_letter_id is not None:
        replays.refuse(session, row.dead_letter_id, RETIRED.error)
    elif row.event_id is not None:
        logged = event_log.find(session, row.event_id)
        subject = None if logged is None else logged.subject
        _keep(session, [_letter(row.consumer, row.event_id, row.type, subject, row.body)])


def _logged(consumer: str, rows: Sequence[EventLog]) -> list[Letter]:
    return [_letter(consumer, row.event_id, row.type, row.subject, row.body.encode()) for row in rows]


def _keep(session: Session, letters: Sequence[Letter]) -> None:
    ids = [dead_letters.keep(session, letter) for letter in letters]
    dead_letters.close_already_handled(session, ids)
    dead_letters.tell_inbox(session, ids)


def _letter(consumer: str, event_id: str, event_type: str | None, subject: str | None, body: bytes) -> Letter:
    now = datetime.now(UTC)
    return Letter(
        key=f"{consumer}/{event_id}",
        consumer=consumer,
        event_id=event_id,
        type=event_type,
        subject=subject,
        reason=RETIRED.reason,
        exception=None,
        error=RETIRED.error,
        frame=None,
        attempts=0,
        first_failed_at=now,
        last_failed_at=now,
        version=version(),
        body=body,
    )
