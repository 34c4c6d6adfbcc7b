"""What is found of broker, database and mail server: real ones, real failures, each within its time."""

import smtplib
import socket
import ssl
from collections.abc import Iterator

import pytest

from infra.database.engine import Database
from infra.errors import BrokerUnavailable, DatabaseUnavailable
from infra.outages import Outage, Outages
from infra.rabbitmq.blocking import BlockingPublisher
from infra.smtp import Smtp
from infra.watching import checks
from infra.watching.checks import Checks
from infra.watching.findings import Finding
from tests.mailbox import Mailbox


class Answering:
    """A broker that answers, or not."""

    def __init__(self, error: BrokerUnavailable | None = None) -> None:
        self.error = error

    def check(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.fixture
def silent() -> Iterator[str]:
    """URL of a mail server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"smtp://127.0.0.1:{listening.getsockname()[1]}"


def found(database: Database, smtp: str, broker: Answering | BlockingPublisher | None = None) -> dict[str, Finding]:
    looks = Checks(database, broker or Answering(), Smtp(smtp), broker_was_away=lambda: None).look()
    return {each.component: each for each in looks}


def test_what_does_its_work_is_well(database: Database, mailbox: Mailbox) -> None:
    findings = found(database, mailbox.url)
    assert {"broker": True, "database": True, "smtp": True} == {name: each.ok for name, each in findings.items()}
    assert all(each.detail.startswith("answered in ") for each in findings.values())
    assert [] == mailbox.log


def test_a_mail_server_that_is_gone_is_found(database: Database, mailbox: Mailbox) -> None:
    mailbox.pause()
    assert Finding("smtp", False, "it cannot be reached: Connection refused") == found(database, mailbox.url)["smtp"]
    mailbox.start()
    assert found(database, mailbox.url)["smtp"].ok


def test_a_mail_server_that_hangs_is_given_up_in_time(
    database: Database, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "PATIENCE", 0.3)
    assert Finding("smtp", False, "no answer within 0.3 s") == found(database, silent)["smtp"]


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (smtplib.SMTPAuthenticationError(535, b"ada@example.com is unknown"), "it refuses our login"),
        (smtplib.SMTPConnectError(554, b"no service for 10.0.0.7"), "it answered 554"),
        (
            smtplib.SMTPServerDisconnected("mail.example.com went"),
            "it closed the connection, or cannot do what we need",
        ),
        (smtplib.SMTPNotSupportedError("STARTTLS"), "it closed the connection, or cannot do what we need"),
        (ssl.SSLCertVerificationError(1, "not valid for mail.example.com"), "its certificate or its TLS is not good"),
        (socket.gaierror(-2, "Name or service not known"), "it cannot be reached: Name or service not known"),
    ],
)
def test_what_is_wrong_is_said_without_names(
    database: Database, monkeypatch: pytest.MonkeyPatch, error: Exception, detail: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Smtp, "check", fail)
    assert found(database, "smtp://mail.example.com")["smtp"].detail.startswith(detail)


def test_a_broker_that_is_there_is_asked_on_the_connection_of_all_else(
    sqlite_database: Database, mailbox: Mailbox, vhost: str
) -> None:
    publisher = BlockingPublisher(vhost, name="test")
    try:
        assert found(sqlite_database, mailbox.url, publisher)["broker"].ok
    finally:
        publisher.close()


def test_a_broker_that_is_away_is_found_and_not_named(sqlite_database: Database, mailbox: Mailbox) -> None:
    publisher = BlockingPublisher("amqp://user:secret@127.0.0.1:9/x", name="test")
    try:
        finding = found(sqlite_database, mailbox.url, publisher)["broker"]
    finally:
        publisher.close()
    assert Finding("broker", False, "it cannot be reached, or takes no messages") == finding


def test_an_outage_of_the_database_is_known_when_it_is_back(
    sqlite_database: Database, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be written down meanwhile, so the look fails and is repeated."""
    looking = Checks(sqlite_database, Answering(), Smtp(mailbox.url), broker_was_away=lambda: None)

    def away() -> None:
        raise DatabaseUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(sqlite_database, "reading", away)
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                looking.look()
    first, second = looking.look()[0], looking.look()[0]
    assert first.ok
    assert first.outage is not None
    assert (first.outage, True) == (second.outage, first.outage.since < first.outage.until)


def test_an_outage_lasts_from_its_first_sign_to_its_end() -> None:
    outages, known = Outages(), list[Outage | None]()
    for step in (outages.end, outages.begin, outages.begin, outages.end, outages.end):
        step()
        known.append(outages.last)
    last = known[-1]
    assert isinstance(last, Outage)
    assert ([None, None, None, last, last], True) == (known, last.seconds >= 0)
