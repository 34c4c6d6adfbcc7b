"""Whether the database can be worked with: what the probes of a program ask again and again."""

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from infra.database.engine import Database
from infra.database.migrations import require_current
from infra.errors import TidingsError

#: Reads from the database itself: `SELECT 1` alone would not so much as look at SQLite's file.
_QUESTION = text("SELECT 1 FROM alembic_version")


class Readiness:
    """Looks at the schema until it was seen to be ours, and from then on asks only for an answer.

    Once is enough: a newer program's migration must not put those of the older one that still run out of service.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._was_current = False

    def problems(self) -> dict[str, str]:
        """What is wrong with the database, under its name; empty when nothing is."""
        try:
            if not (self._was_current and self._answers()):
                require_current(self._database)
                self._was_current = True
        except TidingsError as error:
            return {"database": str(error)}
        return {}

    def _answers(self) -> bool:
        try:
            with self._database.reading() as session:
                return session.connection().execute(_QUESTION).scalar() is not None
        except DBAPIError:  # it answers, but our tables are gone
            return False
