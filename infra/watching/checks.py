"""Looking at what Tidings needs: broker, database and mail server, each with its own time limit, and no mail sent."""

import smtplib
import ssl
import time
from collections.abc import Callable
from typing import Protocol

from sqlalchemy import text

from infra.database.engine import Database
from infra.errors import BrokerUnavailable, DatabaseUnavailable
from infra.outages import Outage, Outages
from infra.smtp import Smtp
from infra.watching.findings import Finding

#: Seconds for each answer of the mail server.
PATIENCE = 5.0
#: Reads from the database itself: `SELECT 1` alone would not so much as look at SQLite's file.
_QUESTION = text("SELECT 1 FROM alembic_version")


class Broker(Protocol):
    """Asks the broker for a sign of life; `infra.rabbitmq.blocking.BlockingPublisher` does."""

    def check(self) -> None:
        """Return when it has answered."""


class Checks:
    """Looks for one program, which holds the connections; what was away meanwhile is told with the next look."""

    def __init__(
        self, database: Database, broker: Broker, smtp: Smtp, *, broker_was_away: Callable[[], Outage | None]
    ) -> None:
        self._database = database
        self._broker = broker
        self._smtp = smtp
        self._broker_was_away = broker_was_away
        self._database_away = Outages()

    def look(self) -> list[Finding]:
        """Look at all three, which may take some seconds: not to be done in a transaction.

        Raises:
            DatabaseUnavailable: nothing could be written down now.
        """
        return [self._at_database(), self._at_broker(), self._at_smtp()]

    def _at_database(self) -> Finding:
        begun = time.monotonic()
        try:
            with self._database.reading() as session:
                session.connection().execute(_QUESTION)
        except DatabaseUnavailable:
            self._database_away.begin()
            raise
        self._database_away.end()
        return Finding("database", True, _answered(begun), self._database_away.last)

    def _at_broker(self) -> Finding:
        begun = time.monotonic()
        try:
            self._broker.check()
        except BrokerUnavailable:  # its text may name hosts
            return Finding("broker", False, "it cannot be reached, or takes no messages")
        return Finding("broker", True, _answered(begun), self._broker_was_away())

    def _at_smtp(self) -> Finding:
        begun = time.monotonic()
        try:
            self._smtp.check(PATIENCE)
        except (smtplib.SMTPException, OSError) as error:
            return Finding("smtp", False, _why(_met(error)))
        return Finding("smtp", True, _answered(begun))


def _answered(begun: float) -> str:
    return f"answered in {(time.monotonic() - begun) * 1_000:.0f} ms"


def _met(error: Exception) -> BaseException:
    """What smtplib met: it calls a timeout a disconnect, too."""
    is_timeout = isinstance(error, smtplib.SMTPServerDisconnected) and isinstance(error.__context__, TimeoutError)
    return TimeoutError() if is_timeout else error


def _why(error: BaseException) -> str:
    """What is wrong, without the server's own words, which may name people and hosts."""
    match error:
        case TimeoutError():
            return f"no answer within {PATIENCE:g} s"
        case ssl.SSLError():
            return "its certificate or its TLS is not good"
        case smtplib.SMTPAuthenticationError():
            return "it refuses our login"
        case smtplib.SMTPResponseException():
            return f"it answered {error.smtp_code}"
        case smtplib.SMTPException():
            return "it closed the connection, or cannot do what we need of it"
        case _:
            return f"it cannot be reached: {getattr(error, 'strerror', None) or type(error).__name__}"
