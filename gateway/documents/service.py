"""The documents of one gateway, made of the facts as it knows them."""

import json
from collections.abc import Sequence

from events.jobs import JobRequested
from gateway.documents import layout
from gateway.documents.latest import Latest
from gateway.users import service as users
from infra.database.engine import Database
from infra.documents import asyncapi, catalogue, facts
from infra.documents.facts import PROGRAM, Facts, Publisher, Server
from infra.errors import ConfigurationError
from infra.schedules import silence
from infra.settings import Settings

#: What is announced without a schedule and without a handler.
PROGRAMS = (
    Publisher(PROGRAM, "gateway", users.ANNOUNCES, "When somebody registers by `POST /users`."),
    Publisher(PROGRAM, "gateway", (JobRequested.TYPE,), "When somebody asks for a job by `POST /jobs`."),
    Publisher(PROGRAM, "consumers", silence.ANNOUNCES, "The watch over the timetable."),
)


class Documents:
    """They tell how things are now: consumers and schedules come and go while the gateway runs."""

    def __init__(self, settings: Settings) -> None:
        self._servers = _servers(settings)
        self._asyncapi = Latest(self._describe)
        self._catalogue = Latest(_lay_out)

    def asyncapi(self, database: Database) -> bytes:
        """The AsyncAPI document.

        Raises:
            DatabaseUnavailable: the database is away.
        """
        return self._asyncapi.of(_facts(database))

    def catalogue(self, database: Database) -> bytes:
        """The catalogue's page.

        Raises:
            DatabaseUnavailable: the database is away.
        """
        return self._catalogue.of(_facts(database))

    def _describe(self, found: Facts) -> bytes:
        return json.dumps(asyncapi.document(found, self._servers), ensure_ascii=False).encode()


def _lay_out(found: Facts) -> bytes:
    return layout.page("catalogue.html", entries=catalogue.entries(found))


def _facts(database: Database) -> Facts:
    with database.reading() as session:
        return facts.gather(session, PROGRAMS)


def _servers(settings: Settings) -> Sequence[Server]:
    """The hosts of the broker; none where none is known."""
    try:
        return facts.servers(settings.rabbitmq)
    except ConfigurationError:
        return ()
