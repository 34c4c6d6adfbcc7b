"""What is there in the end, as those say it who stand outside the programs: database, broker and mail server."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Select, func, select

from events.schedules import ScheduleRecovered, ScheduleStalled
from infra.database.engine import Database
from infra.database.recovery_tables import DeadLetter, Resend
from infra.database.tables import Activity, Effect, EventLog, Inbox, Outbox, ScheduleRun, User, table
from infra.local.mailsink import witness
from infra.rabbitmq.topology import DEAD_LETTERS, TIERS
from tests.brokers import BrokerApi
from tests.drill.journal import JOURNAL

_INBOX, _EFFECT, _RUN = table(Inbox), table(Effect), table(ScheduleRun)


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Reads only; each answer is of this moment."""

    database: Database
    api: BrokerApi
    vhost: str
    mailbox: Path

    def users(self) -> dict[str, str]:
        """Everybody's address, and the event that announced it."""
        people = table(User)
        return {str(email): str(event_id) for email, event_id in self._rows(select(people.c.email, people.c.event_id))}

    def runs(self) -> list[str]:
        """The events of all due times that the scheduler's ledger says were announced."""
        return [str(row[0]) for row in self._rows(select(_RUN.c.event_id).where(_RUN.c.state == "fired"))]

    def silences(self) -> list[str]:
        """The events that tell of the clock, while nothing runs it: they are in the log, if it took that long."""
        log = table(EventLog)
        told = log.c.type.in_((ScheduleStalled.TYPE, ScheduleRecovered.TYPE))
        return [str(row[0]) for row in self._rows(select(log.c.event_id).where(told))]

    def outbox(self) -> list[str]:
        """Events that the broker has not confirmed, or of which nobody knows that it did."""
        return [str(row[0]) for row in self._rows(select(table(Outbox).c.event_id))]

    def resends(self) -> int:
        """Messages on their way to one queue."""
        return int(self._rows(select(func.count()).select_from(table(Resend)))[0][0])

    def published(self) -> Counter[str]:
        """Events in the log."""
        return Counter(str(row[0]) for row in self._rows(select(table(EventLog).c.event_id)))

    def activity(self) -> Counter[str]:
        """Events in the activity log."""
        return Counter(str(row[0]) for row in self._rows(select(table(Activity).c.event_id)))

    def journal(self) -> Counter[tuple[str, str]]:
        """How often a handler's work was committed, for each event and consumer."""
        return Counter((str(row[0]), str(row[1])) for row in self._rows(select(JOURNAL.c.event_id, JOURNAL.c.consumer)))

    def states(self) -> dict[tuple[str, str], str]:
        """The inbox: event and consumer -> state."""
        rows = self._rows(select(_INBOX.c.event_id, _INBOX.c.consumer, _INBOX.c.state))
        return {(str(row[0]), str(row[1])): str(row[2]) for row in rows}

    def dead_letters(self) -> dict[tuple[str, str], str]:
        """What was given up: event and consumer -> state."""
        letters = table(DeadLetter)
        rows = self._rows(select(letters.c.event_id, letters.c.consumer, letters.c.state))
        return {(str(row[0]), str(row[1])): str(row[2]) for row in rows}

    def unsent(self) -> dict[str, tuple[str, str]]:
        """The mails that the database does not know to be sent: key -> event and consumer."""
        rows = self._rows(
            select(_EFFECT.c.key, _EFFECT.c.event_id, _EFFECT.c.consumer).where(_EFFECT.c.state != "sent")
        )
        return {str(row[0]): (str(row[1]), str(row[2])) for row in rows}

    def mails(self) -> Counter[tuple[str, str]]:
        """How often the mail server took a mail: by recipient and key, which is the first half of the Message-ID."""
        file = witness(self.mailbox)
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return Counter((line["to"][0], line["message_id"].strip("<>").partition("@")[0]) for line in lines)

    def waiting(self, queue: str) -> int:
        """Messages in a queue that nobody holds."""
        return self._queues([queue])[queue][0]

    def in_tiers(self) -> int:
        """Messages that wait for another try."""
        return sum(messages for messages, _ in self._queues(TIERS.values()).values())

    def left_on_the_broker(self, consumers: Sequence[str]) -> dict[str, int]:
        """How many messages nobody holds, for each queue that has any."""
        seen = self._queues([*consumers, *TIERS.values(), DEAD_LETTERS])
        return {queue: messages for queue, (messages, _) in seen.items() if messages}

    def is_anybody_attached(self, consumers: Sequence[str]) -> bool:
        """Whether somebody could hold messages of these consumers."""
        return any(attached for _, attached in self._queues([*consumers, DEAD_LETTERS]).values())

    def _queues(self, names: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Messages that wait and consumers that are attached, exactly and now."""
        with self.api.channel(self.vhost) as channel:
            found = {name: channel.queue_declare(name, passive=True).method for name in names}
        return {name: (int(each.message_count), int(each.consumer_count)) for name, each in found.items()}

    def _rows(self, query: Select[Any]) -> Sequence[Any]:
        with self.database.reading() as session:
            return session.connection().execute(query).all()
