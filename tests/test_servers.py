"""The servers and fixtures of the tests themselves do what the tests believe."""

import smtplib
import threading
from email.message import EmailMessage

import psycopg
import pytest
from pika.exceptions import ConnectionClosedByBroker
from sqlalchemy import text

from infra.database.engine import Database
from infra.database.migrations import is_current
from tests.brokers import BrokerApi
from tests.mailbox import LOOPBACK, Answer, Mailbox
from tests.postgres import Postgres
from tests.waiting import until

QUORUM = {"x-queue-type": "quorum"}


def client(mailbox: Mailbox) -> smtplib.SMTP:
    return smtplib.SMTP(LOOPBACK, mailbox.port, local_hostname="test", timeout=5)


def mail(number: int = 1) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Message-ID"] = "a@example.com", "b@example.com", f"<{number}@example.com>"
    message.set_content("Hello\n")
    return message


@pytest.mark.parametrize("run", [1, 2])
def test_each_test_has_a_current_and_empty_database(database: Database, run: int) -> None:
    assert is_current(database)
    with database.transaction() as session:
        insert = "INSERT INTO lease (name, holder, expires_at, counter) VALUES ('one', 'me', '2026-01-01', 0)"
        session.connection().execute(text(insert))
        assert session.connection().execute(text("SELECT count(*) FROM lease")).scalar() == 1


def test_the_postgresql_server_answers_on_loopback_only(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url("postgres").replace("+psycopg", "")) as connection:
        row = connection.execute("SHOW listen_addresses").fetchone()
    assert row == (LOOPBACK,)


def test_a_virtual_host_shows_its_queues_bindings_and_messages(vhost: str, broker_api: BrokerApi) -> None:
    with broker_api.channel(vhost) as channel:
        channel.confirm_delivery()
        channel.exchange_declare("facts", "topic", durable=True)
        channel.queue_declare("one", durable=True, arguments=QUORUM)
        channel.queue_bind("one", "facts", "user.#")
        channel.basic_publish("facts", "user.registered", b"x", mandatory=True)
    assert (broker_api.messages(vhost, "one"), broker_api.has_queue(vhost, "two")) == (1, False)
    assert broker_api.queues(vhost)["one"]["arguments"] == QUORUM
    assert list(broker_api.exchanges(vhost)) == ["facts"]
    assert broker_api.bindings(vhost) == {("facts", "user.#", "one")}
    assert [body for _, body in broker_api.take(vhost, "one")] == [b"x"]
    broker_api.delete_queue(vhost, "one")
    assert not broker_api.has_queue(vhost, "one")


def test_the_broker_can_close_all_connections_of_one_virtual_host(vhost: str, broker_api: BrokerApi) -> None:
    with broker_api.channel(vhost) as channel:
        until(lambda: broker_api.connections(vhost), what="the connection in the list")
        broker_api.close_connections(vhost)
        with pytest.raises(ConnectionClosedByBroker):
            channel.queue_declare("late", durable=True)


def test_under_a_memory_alarm_a_publish_is_not_confirmed_until_it_ends(vhost: str, broker_api: BrokerApi) -> None:
    def publish() -> None:
        with broker_api.channel(vhost) as channel:
            channel.confirm_delivery()
            channel.queue_declare("one", durable=True, arguments=QUORUM)
            began.set()
            channel.basic_publish("", "one", b"x")

    began = threading.Event()
    publisher = threading.Thread(target=publish)
    with broker_api.memory_alarm():
        publisher.start()
        assert began.wait(10)
        assert broker_api.messages(vhost, "one") == 0
        assert publisher.is_alive()
    publisher.join(10)
    assert broker_api.messages(vhost, "one") == 1


def test_a_mailbox_answers_as_told_and_then_accepts(mailbox: Mailbox) -> None:
    mailbox.answer(Answer.DEFER, Answer.REFUSE, Answer.REFUSE_RECIPIENT)
    with client(mailbox) as session:
        for code in (451, 550):
            with pytest.raises(smtplib.SMTPDataError) as caught:
                session.send_message(mail())
            assert caught.value.smtp_code == code
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            session.send_message(mail())
        session.send_message(mail(2))
    assert [message["Message-ID"] for message in mailbox.messages()] == ["<2@example.com>"]
    assert [attempt.answer for attempt in mailbox.log] == [
        Answer.DEFER, Answer.REFUSE, Answer.REFUSE_RECIPIENT, Answer.ACCEPT,
    ]  # fmt: skip


def test_a_mailbox_keeps_a_mail_whose_answer_gets_lost(mailbox: Mailbox) -> None:
    mailbox.answer(Answer.DROP)
    session = client(mailbox)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        session.send_message(mail())
    assert len(mailbox.messages()) == 1


def test_a_mailbox_that_hangs_gives_no_answer_and_can_still_be_stopped(mailbox: Mailbox) -> None:
    mailbox.always = Answer.HANG
    session = smtplib.SMTP(LOOPBACK, mailbox.port, local_hostname="test", timeout=0.3)
    with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
        session.send_message(mail())
    session.close()
    mailbox.clear()
    assert mailbox.messages() == []


def test_a_mailbox_can_go_away_and_come_back_at_the_same_port(mailbox: Mailbox) -> None:
    port = mailbox.port
    mailbox.pause()
    with pytest.raises(ConnectionRefusedError):
        client(mailbox)
    mailbox.start()
    with client(mailbox) as session:
        session.send_message(mail())
    assert (mailbox.port, len(mailbox.messages())) == (port, 1)
