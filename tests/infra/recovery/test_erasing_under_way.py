"""What is in a queue, in a retry tier or in a handler when somebody is erased: none of it brings anything back."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select

from events.envelope import Envelope, announce
from events.users import UserRegistered
from infra.database import inbox, outbox
from infra.database.engine import Database, connect
from infra.database.personal import Person
from infra.database.tables import Activity, EventLog, table
from infra.effects import Intent
from infra.recovery.keeping import Keeper
from infra.retrying import RetryAfter
from infra.subscriptions import Context, Subscription
from tests.brokers import BrokerApi
from tests.consumption import consuming
from tests.people import erased
from tests.relays import running
from tests.waiting import until

ADA = Person(str(uuid4()), "ada@example.com")
ACTIVITY, LOG = table(Activity), table(EventLog)
TYPES = ("user.registered",)


class Consumers:
    """One that is at work on one event for as long as it is told, and one that fails until it is told not to."""

    def __init__(self) -> None:
        self.began, self.may_end, self.failed = Flag(), Flag(), Flag()
        self.called: list[tuple[str, str]] = []

    def slow(self, event: UserRegistered, context: Context) -> None:
        self.called.append(("slow", context.event_id))
        self.began.set()
        assert self.may_end.wait(60)
        context.mail.send("welcome", to=event.email, name=event.name)
        row = {"event_id": context.event_id, "type": "x", "subject": context.subject, "time": context.time}
        context.session.connection().execute(insert(ACTIVITY), row)

    def failing(self, event: UserRegistered, context: Context) -> None:
        self.called.append(("failing", context.event_id))
        if not self.failed.is_set():
            self.failed.set()
            raise RetryAfter(5, f"no luck with {event.email}")
        context.mail.send("welcome", to=event.email)


def registered(user: str) -> Envelope:
    return announce(UserRegistered(user_id=user, name="Ada", email=str(ADA.address)), source="/test")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    connected = connect(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))
    yield connected
    connected.close()


def states(database: Database, envelope: Envelope) -> dict[str, str]:
    with database.reading() as session:
        return {each.consumer: each.state for each in inbox.of_event(session, envelope.id)}


def bodies(database: Database) -> list[Any]:
    with database.reading() as session:
        return list(session.connection().execute(select(LOG.c.body, LOG.c.subject).order_by(LOG.c.position)).all())


def add(database: Database, *envelopes: Envelope) -> None:
    with database.transaction() as session:
        outbox.add_all(session, [(each, None) for each in envelopes])


def test_what_is_on_the_road_neither_brings_anything_back_nor_sends_a_mail(
    vhost: str, broker_api: BrokerApi, database: Database, tmp_path: Path
) -> None:
    made, mails = Consumers(), list[Intent]()
    subscriptions = [
        Subscription("slow", TYPES, made.slow, concurrency=1),
        Subscription("failing", TYPES, made.failing, concurrency=1),
    ]
    first, second, other = registered(ADA.id), registered(ADA.id), registered(str(uuid4()))
    with (
        consuming(vhost, database, subscriptions, {"mail": mails.append}, keeper=Keeper(database)),
        running(database, vhost),
    ):
        add(database, first)
        until(lambda: made.began.is_set() and made.failed.is_set(), seconds=30, what="both handlers")
        add(database, second, other)
        until(lambda: len(bodies(database)) == 3, seconds=30, what="the log")
        until(lambda: broker_api.messages(vhost, "retry.5s") == 1, seconds=30, what="the copy in its tier")
        erased(database, tmp_path, ADA)
        made.may_end.set()
        until(lambda: states(database, other).get("slow") == "handled", seconds=30, what="the others' event")
        until(lambda: states(database, first).get("failing") == "erased", seconds=30, what="the copy's return")
        until(
            lambda: {0} == {broker_api.messages(vhost, name) for name in ("slow", "failing", "retry.5s")},
            seconds=30,
            what="the end",
        )
    assert states(database, second).get("slow") in {"erased", None}  # None: called within the two seconds, for nothing
    assert [("failing", first.id)] == [one for one in made.called if one == ("failing", first.id)]
    assert [other.id] == [one.event_id for one in mails if one.consumer == "slow"]
    assert first.id not in {one.event_id for one in mails}
    with database.reading() as session:
        assert [other.id] == list(session.connection().execute(select(ACTIVITY.c.event_id)).scalars())
    assert [("", None)] * 2 == [tuple(row) for row in bodies(database)][:2]
