"""A failing delivery on a real broker: the queue that it waits in, the one queue it returns to, and its end."""

import smtplib
from collections.abc import Callable, Iterator
from typing import Any

import pika
import pytest

from consumers import TEMPLATES
from events.envelope import Envelope, encode
from events.users import UserRegistered
from infra.database import inbox
from infra.database.engine import Database, connect
from infra.mail import Mailer, Templates
from infra.retrying import Retry, RetryAfter
from infra.subscriptions import Context, Subscription
from tests.brokers import BrokerApi
from tests.consumption import consuming
from tests.envelopes import ada
from tests.mailbox import Answer, Mailbox
from tests.waiting import until

Handler = Callable[[UserRegistered, Context], None]


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    """The kind of database does not matter here."""
    connected = connect(sqlite_url)
    yield connected
    connected.close()


class Scene:
    """Two consumers of one event, `failing` and `fine`, and what becomes of it at each."""

    def __init__(self, api: BrokerApi, vhost: str, database: Database, mailbox: Mailbox) -> None:
        self.api, self.vhost, self.database = api, vhost, database
        self.mailer = Mailer(mailbox.url, sender="Tidings <no-reply@example.org>", templates=Templates(TEMPLATES))
        self.envelope: Envelope = ada()
        #: What `fine` was given: the number of each try.
        self.fine: list[int] = []

    def play(self, handler: Handler, until_: Callable[[], object], retry: Retry = Retry.DEFAULT) -> None:
        """Publish the event to both, and go on until this is true."""
        subscriptions = [
            Subscription("failing", ("user.registered",), handler, retry=retry),
            Subscription("fine", ("user.registered",), lambda _, context: self.fine.append(context.attempt)),
        ]
        with consuming(self.vhost, self.database, subscriptions, {"mail": self.mailer.perform}):
            self._publish()
            until(until_, seconds=20, what="the event's way")
            until(lambda: self.fine, what="the other consumer's delivery")
        assert [0, 0] == [self.api.messages(self.vhost, queue) for queue in ("failing", "fine")]

    def waits(self, queue: str) -> bool:
        return self.api.messages(self.vhost, queue) == 1

    def only(self, queue: str) -> dict[str, Any]:
        """The headers of the one message in this queue."""
        [(properties, body)] = self.api.take(self.vhost, queue)
        assert encode(self.envelope) == body
        headers: dict[str, Any] = properties.headers
        return headers

    @property
    def state(self) -> tuple[str, int]:
        with self.database.reading() as session:
            (row,) = [each for each in inbox.of_event(session, self.envelope.id) if each.consumer == "failing"]
            return row.state, row.attempts

    def _publish(self) -> None:
        with self.api.channel(self.vhost) as channel:
            channel.confirm_delivery()
            channel.basic_publish(
                "events",
                self.envelope.type,
                encode(self.envelope),
                pika.BasicProperties(delivery_mode=2, headers={"x-attempt": 1}),
                mandatory=True,
            )


@pytest.fixture
def scene(broker_api: BrokerApi, vhost: str, database: Database, mailbox: Mailbox) -> Scene:
    return Scene(broker_api, vhost, database, mailbox)


def mail(event: UserRegistered, context: Context) -> None:
    context.mail.send("welcome", to=event.email, name=event.name)


def test_a_mail_that_is_refused_for_good_is_dead_at_once_with_its_reason(scene: Scene, mailbox: Mailbox) -> None:
    mailbox.answer(Answer.REFUSE)
    scene.play(mail, lambda: scene.waits("dead-letters"))
    headers = scene.only("dead-letters")
    assert (1, "failing", "handler-error", "smtplib.SMTPDataError") == (
        headers["x-attempt"],
        headers["x-tidings-consumer"],
        headers["x-tidings-reason"],
        headers["x-tidings-exception"],
    )
    assert "EffectRefused: The mail server answered 550 5.7.1 not here" == headers["x-tidings-error"]
    assert headers["x-tidings-frame"].startswith("infra/smtp.py:")
    assert (("dead", 1), [1]) == (scene.state, scene.fine)


@pytest.mark.parametrize(
    ("answer", "tier"),
    [(Answer.DEFER, "retry.30s"), (Answer.REFUSE_RECIPIENT, "retry.10m"), (Answer.DROP, "retry.2m")],
)
def test_what_the_mail_server_did_is_what_the_consumers_rules_are_for(
    scene: Scene, mailbox: Mailbox, answer: Answer, tier: str
) -> None:
    mailbox.answer(answer)
    retry = Retry(
        Retry.on(smtplib.SMTPServerDisconnected, delays=[120]),
        Retry.on(smtplib.SMTPRecipientsRefused, delays=[600], when=lambda error: 550 == error.recipients[""][0]),
        delays=[30],
    )
    scene.play(mail, lambda: scene.waits(tier), retry)
    assert (2, "failing") == ((headers := scene.only(tier))["x-attempt"], headers["x-tidings-consumer"])
    assert (("retrying", 1), [1]) == (scene.state, scene.fine)


def test_who_is_told_when_to_come_again_waits_in_the_nearest_queue_above(scene: Scene) -> None:
    def busy(event: UserRegistered, context: Context) -> None:
        raise RetryAfter(20)

    scene.play(busy, lambda: scene.waits("retry.30s"))
    assert (2, [1]) == (scene.only("retry.30s")["x-attempt"], scene.fine)


def test_a_mistake_is_tried_once_more_by_its_own_consumer_alone_and_then_dead(scene: Scene) -> None:
    tries: list[int] = []

    def forgets(event: UserRegistered, context: Context) -> None:
        tries.append(context.attempt)
        raise KeyError("name")

    scene.play(forgets, lambda: scene.waits("dead-letters"))
    assert ([1, 2], [1]) == (tries, scene.fine)
    headers = scene.only("dead-letters")
    assert (2, "builtins.KeyError", "KeyError: 'name'") == (
        headers["x-attempt"],
        headers["x-tidings-exception"],
        headers["x-tidings-error"],
    )
    assert headers["x-tidings-frame"].endswith(" in forgets")
    assert ("dead", 2) == scene.state
