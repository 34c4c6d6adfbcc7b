"""The duty that looks after replays which do not come back: their letters wait for an operator again."""

from datetime import UTC, datetime

import structlog

from infra.database import replays
from infra.database.engine import Database

_log = structlog.get_logger(__name__)
#: Seconds between two looks.
EVERY = 10.0


class Returning:
    """A replay is a message in a queue, and the broker is disposable; the letter is not."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def step(self) -> float:
        """Look once."""
        with self._database.transaction() as session:
            lost = replays.bring_back(session, datetime.now(UTC))
        if lost:
            _log.warning("replays lost, so their letters wait again", letters=len(lost), first=lost[0])
        return EVERY
