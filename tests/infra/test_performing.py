"""Effects that happened and could not be marked: when the process that remembers them leaves them out, and when not."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from events.envelope import encode
from infra import commits
from infra.database import consumers, replays
from infra.database.engine import Database
from infra.database.tables import Effect, table
from infra.delivery import Deliveries
from infra.errors import DatabaseUnavailable
from infra.outcomes import Done, Hold, Incoming, Outcome
from infra.subscriptions import Context, Subscription
from tests.letters import CONSUMER, found, keep, letter
from tests.relays import registered

Deliver = Callable[[Sequence[Incoming]], list[Outcome]]


def mail(event: object, context: Context) -> None:
    context.mail.send("welcome", to="ada@example.com")


def unavailable(*_: object, **__: object) -> None:
    raise DatabaseUnavailable("away")


@pytest.fixture
def subscription(database: Database) -> Subscription:
    made = Subscription(CONSUMER, ("user.registered",), mail)
    with database.transaction() as session:
        consumers.declare(session, [made])
    return made


def test_a_forced_replay_mails_again_where_the_first_mail_could_not_be_marked(
    database: Database, subscription: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    mails: list[str] = []

    def process(name: str) -> Deliver:
        deliveries = Deliveries(database, {"mail": lambda _: mails.append(name)}, owner=f"{name}#1-0 1 there")
        return deliveries.handler(subscription)

    one, another, envelope = process("one"), process("another"), registered()
    body = encode(envelope)
    with monkeypatch.context() as patch:
        patch.setattr(commits, "mark_sent", unavailable)
        assert [Hold("away")] == one([Incoming(body)])
    with database.transaction() as session:  # its connection was lost, and its lease is over
        session.connection().execute(update(table(Effect)).values(busy_until=datetime.now(UTC)))
    assert [Done()] == another([Incoming(body, redelivered=True)])
    (letter_id,) = keep(database, letter(envelope))
    with database.transaction() as session:
        assert 1 == replays.begin(session, [letter_id], force=True)
    assert [Done()] == one([Incoming(body, replay=True, dead_letter=letter_id)])
    assert (["one", "another", "one"], "handled") == (mails, found(database, letter_id).state)
