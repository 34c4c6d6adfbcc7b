"""A handler is given what its program was put together with, and nothing by a global."""

from uuid import uuid4

from events.envelope import announce, encode
from events.users import UserRegistered
from infra.database.engine import Database
from infra.delivery import Deliveries
from infra.outcomes import Done, Incoming, RetryLater
from infra.subscriptions import Batch, Context, Subscription


def message() -> Incoming:
    event = UserRegistered(user_id=uuid4(), name="Ada", email="ada@example.com")
    return Incoming(encode(announce(event, source="/gateway")))


def test_a_handler_asks_for_it_by_its_class(database: Database) -> None:
    given: list[object] = []

    def one(_: UserRegistered, context: Context) -> None:
        given.append(context.provided(Database))

    def several(batch: list[Context]) -> None:
        given.append(batch[0].provided(Database))

    deliveries = Deliveries(database, {}, provisions={Database: database})
    for handler, batch in ((one, None), (several, Batch())):
        subscription = Subscription(handler.__name__, ("user.registered",), handler, batch=batch)
        assert [Done()] == deliveries.handler(subscription)([message()])
    assert [database] * 2 == given


def test_what_nobody_provided_is_a_mistake_that_is_named(database: Database) -> None:
    subscription = Subscription("tested", ("user.registered",), lambda _, context: context.provided(Database))
    (outcome,) = Deliveries(database, {}).handler(subscription)([message()])
    assert isinstance(outcome, RetryLater)
    assert "This program provides its consumers with no Database." in outcome.error
