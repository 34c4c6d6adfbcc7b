"""Dead letters for tests: how one looks, how it is kept, and what the database has of it then."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from events.envelope import Envelope, encode
from infra.database import dead_letters, inbox
from infra.database.engine import Database
from infra.database.letters import Letter
from infra.database.recovery_tables import DeadLetter, Resend
from infra.database.tables import Inbox, table

CONSUMER = "welcome-email"
_LETTER, _RESEND = table(DeadLetter), table(Resend)
#: When the first try of `letter` began, and when it was given up.
BEGUN = datetime.now(UTC) - timedelta(minutes=10)
FAILED = BEGUN + timedelta(minutes=5)


def letter(envelope: Envelope, **other: Any) -> Letter:
    """What the keeper writes down of an event that its consumer gave up."""
    values: dict[str, Any] = {
        "key": f"{other.get('consumer', CONSUMER)}/{envelope.id}",
        "consumer": CONSUMER,
        "event_id": envelope.id,
        "type": envelope.type,
        "subject": envelope.subject,
        "reason": "handler-error",
        "exception": "smtplib.SMTPRecipientsRefused",
        "error": "SMTPRecipientsRefused: no such mailbox",
        "frame": "consumers/welcome_email.py:12 in welcome",
        "attempts": 3,
        "first_failed_at": BEGUN,
        "last_failed_at": FAILED,
        "version": "0.1.0",
        "body": encode(envelope),
    }
    return Letter(**values | other)


def keep(database: Database, *letters: Letter) -> list[str]:
    """Keep them; gives their ids."""
    with database.transaction() as session:
        return [dead_letters.keep(session, each) for each in letters]


def dead(database: Database, envelope: Envelope, consumer: str = CONSUMER) -> None:
    """Write the inbox row that a delivery leaves behind when it gives an event up."""
    with database.transaction() as session:
        inbox.fail(session, inbox.Delivery(envelope.id, consumer, 3, BEGUN), "no such mailbox", None)


def handled(database: Database, envelope: Envelope, consumer: str = CONSUMER) -> None:
    """Write the inbox row that a delivery leaves behind when it is through."""
    with database.transaction() as session:
        inbox.claim(session, inbox.Delivery(envelope.id, consumer, 1, BEGUN))


def put(database: Database, letter_id: str, **values: Any) -> None:
    """Make a letter what replays and operators make of it."""
    with database.transaction() as session:
        session.connection().execute(update(_LETTER).where(_LETTER.c.id == letter_id).values(**values))


def found(database: Database, letter_id: str) -> DeadLetter:
    """One letter, which must be there."""
    with database.reading() as session:
        row = dead_letters.find(session, letter_id)
    assert row is not None
    return row


def kept(database: Database) -> list[DeadLetter]:
    """All letters, in the order in which they were kept."""
    with database.reading() as session:
        rows = session.connection().execute(select(_LETTER).order_by(_LETTER.c.id))
        return [DeadLetter(**row._mapping) for row in rows]


def resent(database: Database) -> list[Resend]:
    """All messages that the relay is to send to one queue, in order."""
    with database.reading() as session:
        rows = session.connection().execute(select(_RESEND).order_by(_RESEND.c.sequence))
        return [Resend(**row._mapping) for row in rows]


def entry(database: Database, envelope: Envelope, consumer: str = CONSUMER) -> Inbox:
    """What the inbox has of an event at a consumer."""
    with database.reading() as session:
        (row,) = [each for each in inbox.of_event(session, envelope.id) if each.consumer == consumer]
    return row
