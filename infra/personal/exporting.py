"""Exporting: all that is kept about a person as one JSON document, written as it is read, slice by slice."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO

from sqlalchemy import ColumnElement
from sqlmodel import Session

from infra.database.engine import Database
from infra.database.personal import Person, Place
from infra.database.personal_places import ERASURES, JOBS, PLACES, files

#: What a part of the document is called, where that is not its table: the event log has two, by subject and by mention.
_NAMES = {
    "users": "account", "event_log": "events", "outbox": "events_not_published", "inbox": "deliveries_that_failed",
    "effect": "mails_and_other_effects", "dead_letter": "dead_letters", "resend": "events_sent_again",
    "waiting": "events_that_wait_for_their_turn", "idempotency": "kept_answers", "audit": "deeds_of_operators",
    "operation": "operations", "schedule": "schedules", "job": "jobs",
}  # fmt: skip

#: Jobs of every kind are one part.
PARTS = [place for place in PLACES if place is not ERASURES]
#: Told after each slice: what was done, as JSON, and how far it is.
Tell = Callable[[dict[str, Any], float], None]


@dataclass(slots=True)
class Written:
    """How far the document is; kept as JSON while it is made."""

    place: int = 0
    after: list[Any] | None = None
    #: Bytes that are written.
    size: int = 0
    rows: dict[str, int] = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"place": self.place, "after": self.after, "size": self.size, "rows": dict(self.rows)}


def export(database: Database, person: Person, file: BinaryIO, written: Written, tell: Tell) -> None:
    """Write what is missing of the document behind what is there of it."""
    if written.size == 0:
        file.write(f'{{"user_id": {json.dumps(person.id)}'.encode())
    for number in range(written.place, len(PARTS)):
        written.place = number
        _place(database, person, file, written, tell)
        written.after = None
    file.write(b"\n}\n")


def _place(database: Database, person: Person, file: BinaryIO, written: Written, tell: Tell) -> None:
    place = PARTS[written.place]
    name = _name(written.place)
    is_first = name not in written.rows
    if is_first:
        written.rows[name] = 0
        file.write(f',\n"{name}": ['.encode())
    after = place.first if written.after is None else place.read(written.after)
    while True:
        with database.reading() as session:
            end = place.end(session, person, after)
            rows = [] if end is None else _rows(session, place, place.within(person, after, end))
        for one in rows:
            comma = "," if written.rows[name] else ""
            file.write(f"{comma}\n{json.dumps(one, default=_plain, ensure_ascii=False)}".encode())
            written.rows[name] += 1
        if end is None:
            break
        after = end
        written.after = place.written(end)
        file.flush()  # though nothing of theirs was there: the state is to fit what is written
        written.size = file.tell()
        tell(written.state(), written.place / len(PARTS))
    file.write(b"]")


def _name(number: int) -> str:
    """Each part has a name of its own."""
    name = _NAMES.get(PARTS[number].name, PARTS[number].name)
    before = sum(each.name == PARTS[number].name for each in PARTS[:number])
    return f"{name}_that_name_them" if before else name


def _rows(session: Session, place: Place, which: ColumnElement[bool]) -> list[dict[str, Any]]:
    rows = [_told(row._asdict()) for row in session.connection().execute(place.rows(which))]
    if place is JOBS:
        results: dict[str, list[dict[str, Any]]] = {}
        for one in session.connection().execute(files(which)):
            kept = {"name": one.name, "media_type": one.media_type, "size": one.size, "expires_at": one.expires_at}
            results.setdefault(one.job_id, []).append(kept)
        rows = [one | {"results": results.get(one["id"], [])} for one in rows]
    return rows


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its event, or answer, as the JSON that it is."""
    told = dict(row)
    if "body" in told:
        body = told.pop("body")
        text = body.decode(errors="replace") if isinstance(body, bytes) else body
        try:
            told["content"] = json.loads(text)
        except ValueError:
            told["content"] = text
    return told


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
