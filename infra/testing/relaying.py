"""The relay of a test: the same steps in the same order, each when it is asked, and without a broker."""

from collections.abc import Callable
from dataclasses import replace

from sqlmodel import Session

from events.envelope import Envelope, decode
from infra.database import event_log, leases, outbox, resends
from infra.database.engine import Database
from infra.database.leases import Holding
from infra.database.outbox import Due
from infra.rabbitmq.messages import Message, event_message, resent_message

_LEASE = Holding("relay", "kit", 60.0)
_BATCH = 200


class Relay:
    """Moves events from the outbox to the log, and hands them on."""

    def __init__(self, database: Database, publish: Callable[[Message], None]) -> None:
        self._database = database
        self._publish = publish
        with database.transaction() as session:
            leases.acquire(session, _LEASE.name, _LEASE.holder, _LEASE.seconds)

    def relay(self) -> list[Envelope]:
        """Publish what is due, and send what is to be sent to one consumer alone; gives the events."""
        relayed = []
        while rows := self._take():
            for row in rows:
                self._publish(event_message(row.event_id, row.type, row.body.encode()))
            relayed += [decode(row.body.encode()) for row in rows]
        self._resend()
        return relayed

    def log(self, envelope: Envelope) -> None:
        """Have an event in the log, as any has that reaches a consumer; nobody is given it."""
        with self._database.transaction() as session:
            if event_log.find(session, envelope.id) is not None:
                return
            if outbox.find(session, envelope.id) is None:
                outbox.add(session, envelope)
            row = outbox.find(session, envelope.id)
            assert row is not None
            assert row.sequence is not None
            due = Due(row.sequence, row.event_id, row.type, row.subject, row.body, 0)
            event_log.publish(session, [due], lease=_LEASE)

    def _take(self) -> list[Due]:
        with self._database.transaction() as session:
            rows = _released(session, outbox.due(session, _BATCH))
            event_log.publish(session, rows, lease=_LEASE)
        return rows

    def _resend(self) -> None:
        with self._database.transaction() as session:
            rows = resends.waiting(session, _BATCH)
            resends.remove(session, rows)
        for row in rows:
            name = row.event_id or row.dead_letter_id or ""
            letter = row.dead_letter_id
            self._publish(resent_message(row.consumer, row.body, name=name, event_type=row.type, dead_letter=letter))


def _released(session: Session, rows: list[Due]) -> list[Due]:
    held = [row.sequence for row in rows if row.held]
    bodies = outbox.release(session, held) if held else {}
    return [replace(row, body=bodies.get(row.sequence, row.body), held=False) for row in rows]
