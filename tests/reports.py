"""Activity to be reported on, and a job that is no more than what its function sees of one."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, BinaryIO, cast
from uuid import uuid4

import structlog
from sqlalchemy import insert

from infra.database.engine import Database
from infra.database.tables import Activity, table
from infra.settings import Settings, load

#: A Sunday.
ASKED_AT = datetime(2026, 11, 22, 12, tzinfo=UTC)


def put(database: Database, events: Iterable[tuple[datetime, str]]) -> None:
    """Lines of the activity log."""
    rows = [{"event_id": str(uuid4()), "type": name, "subject": None, "time": moment} for moment, name in events]
    with database.transaction() as session:
        session.connection().execute(insert(table(Activity)), rows)


class Stop(BaseException):
    """What a job is stopped with."""


@dataclass
class Doubled:
    """A job whose files and effects are kept in memory."""

    database: Database
    settings: Settings = field(default_factory=load)
    resume_state: Any = None
    #: The progress at which it is stopped.
    stop_at: float | None = None
    id: str = "0198c0de-0000-7000-8000-000000000001"
    attempt: int = 1
    requested_at: datetime = ASKED_AT
    log: Any = field(default_factory=structlog.get_logger)
    files: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    states: list[Any] = field(default_factory=list)
    said: list[tuple[float, float, str]] = field(default_factory=list)
    effects: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def provided(self, kind: type) -> Any:
        return {Database: self.database, Settings: self.settings}[kind]

    def progress(self, done: float, of: float = 1.0, text: str = "") -> None:
        self.said.append((done, of, text))
        if self.stop_at == done:
            raise Stop

    def checkpoint(self, state: Any) -> None:
        self.states.append(json.loads(json.dumps(state)))

    def perform(self, effect: str, **arguments: Any) -> None:
        self.effects.append((effect, arguments))

    @contextmanager
    def file(self, name: str, media_type: str) -> Iterator[BinaryIO]:
        content = BytesIO()
        yield cast("BinaryIO", content)
        self.files[name], self.types[name] = content.getvalue(), media_type

    mail = step = cancelled = publish = cast("Any", None)
