"""Whether a registration is through, by witnesses outside of the programs: the mail server, the journal, the tables."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import exists, func, select
from sqlmodel import Session

from infra.database.engine import Database
from infra.database.recovery_tables import DeadLetter
from infra.database.tables import Activity, Inbox, Outbox, table
from infra.errors import DatabaseUnavailable
from tests.drill import working
from tests.drill.journal import count_by_subject
from tests.drill.load import Registration
from tests.drill.mails import Mails
from tests.drill.stepped import STEPS
from tests.mailbox import Mailbox

_LINES, _INBOX, _LETTERS, _OUTBOX = table(Activity), table(Inbox), table(DeadLetter), table(Outbox)
#: Registrations that are asked about in one query.
_AT_ONCE = 400
MAILING, STUMBLING = "welcome-email", "drill-faulty"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of some registrations."""

    #: User id -> different rows of the journal.
    steps: dict[str, int] = field(default_factory=dict)
    #: Events with a line in the activity log.
    lines: set[str] = field(default_factory=set)
    #: Event and consumer of what is handled, and of what was given up.
    handled: set[tuple[str, str]] = field(default_factory=set)
    parked: set[tuple[str, str]] = field(default_factory=set)


def unkept(session: Session) -> int:
    """How many events some consumer gave up without a dead letter that tells of it."""
    kept = exists().where(_LETTERS.c.event_id == _INBOX.c.event_id, _LETTERS.c.consumer == _INBOX.c.consumer)
    query = select(func.count()).select_from(_INBOX).where(_INBOX.c.state == "dead", ~kept)
    return int(session.connection().execute(query).scalar_one())


class Witnesses:
    """Asked again and again while a drill waits, so each question is about what is still open."""

    def __init__(self, database: Database, mailbox: Mailbox) -> None:
        self.mails = Mails(mailbox)
        self._database = database

    def unhandled(self, registrations: Collection[Registration]) -> list[Registration]:
        """Those that are not through; all of them while the database cannot be asked."""
        self.mails.look()
        try:
            return [
                one for some in _chunks(registrations) for seen in [self._see(some)] for one in some
                if not self._is_through(one, seen)
            ]  # fmt: skip
        except DatabaseUnavailable:
            return list(registrations)

    def is_quiet(self) -> bool:
        """Whether nothing is on its way: all events are published, all jobs done, and what was given up is kept."""
        waiting = select(func.count()).select_from(_OUTBOX).where(~_OUTBOX.c.set_aside)
        with self._database.reading() as session:
            left = session.connection().execute(waiting).scalar_one() + unkept(session) + working.open_jobs(session)
            return left == 0

    def missing(self, one: Registration) -> list[str]:
        """In words, what a registration lacks."""
        seen = self._see([one])
        return [
            *([] if one.event_id in seen.lines else ["activity line"]),
            *([] if seen.steps.get(one.user_id, 0) == STEPS + 1 else [f"journal {seen.steps.get(one.user_id, 0)}"]),
            *([] if self._has_mail(one, seen) else ["mail"]),
            *([] if self._has_stumbled(one, seen) else ["dead letter"]),
        ]

    def _is_through(self, one: Registration, seen: Seen) -> bool:
        return (
            seen.steps.get(one.user_id, 0) == STEPS + 1
            and one.event_id in seen.lines
            and self._has_mail(one, seen)
            and self._has_stumbled(one, seen)
        )

    def _has_mail(self, one: Registration, seen: Seen) -> bool:
        key = (one.event_id, MAILING)
        return key in seen.parked or (one.email in self.mails.taken and key in seen.handled)

    def _has_stumbled(self, one: Registration, seen: Seen) -> bool:
        return not one.is_poison or (one.event_id, STUMBLING) in seen.parked

    def _see(self, some: Collection[Registration]) -> Seen:
        events = [one.event_id for one in some]
        ended = select(_INBOX.c.event_id, _INBOX.c.consumer, _INBOX.c.state).where(
            _INBOX.c.event_id.in_(events), _INBOX.c.consumer.in_((MAILING, STUMBLING))
        )
        with self._database.reading() as session:
            connection = session.connection()
            states = {(row.event_id, row.consumer): row.state for row in connection.execute(ended)}
            return Seen(
                count_by_subject(connection, [one.user_id for one in some]),
                set(connection.execute(select(_LINES.c.event_id).where(_LINES.c.event_id.in_(events))).scalars()),
                {key for key, state in states.items() if state == "handled"},
                {key for key, state in states.items() if state == "dead"},
            )


def _chunks(registrations: Collection[Registration]) -> Iterator[list[Any]]:
    rest = iter(registrations)
    while some := list(islice(rest, _AT_ONCE)):
        yield some
