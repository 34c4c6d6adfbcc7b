"""The facts that documents are made of, as the gateway knows them."""

from collections.abc import Sequence

from gateway.users import service as users
from infra.database.engine import Database
from infra.documents import facts
from infra.documents.facts import PROGRAM, Facts, Publisher, Server
from infra.errors import ConfigurationError
from infra.schedules import silence
from infra.settings import Settings

#: What is announced without a schedule and without a handler.
PROGRAMS = (
    Publisher(PROGRAM, "gateway", users.ANNOUNCES, "When somebody registers by `POST /users`."),
    Publisher(PROGRAM, "consumers", silence.ANNOUNCES, "The watch over the timetable."),
)


def gathered(database: Database) -> Facts:
    """As they are now: consumers and schedules come and go while the gateway runs.

    Raises:
        DatabaseUnavailable: the database is away.
    """
    with database.reading() as session:
        return facts.gather(session, PROGRAMS)


def servers(settings: Settings) -> Sequence[Server]:
    """The hosts of the broker; none where none is known."""
    try:
        return facts.servers(settings.rabbitmq)
    except ConfigurationError:
        return ()
