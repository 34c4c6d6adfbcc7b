"""People in every table: rows that name somebody in each column that may, made from what is known of the columns."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import JSON, Column, Table, insert, select
from sqlmodel import SQLModel

from events.clock import due_id
from infra.database.engine import Database
from infra.database.personal import Person, kind_of
from infra.jobs.storing import Folder, Store, WithSmall, new_key
from infra.personal.classified import TABLES
from infra.personal.erasing import Erasing, Progress

LONG_AGO = datetime.now(UTC) - timedelta(days=1)
#: Columns that must be more than any text, for their row to be one that is possible.
_SAID: dict[tuple[str, str], Any] = {
    ("outbox", "available_at"): datetime.now(UTC) + timedelta(days=1),
    ("effect", "state"): "intended",
    ("inbox", "state"): "retrying",
    ("job", "state"): "succeeded",
    ("dead_letter", "state"): "waiting",
    ("subscription", "scanned"): 1 << 40,  # all is settled, unless it is said otherwise
    ("operation", "finished_at"): LONG_AGO,
}
#: These tell the person itself, not merely something that names them.
_EXACT = {("users", "id"), ("waiting", "subject"), ("activity", "subject"), ("event_log", "subject")}


def rows_of(database: Database, person: Person, *, job: str, key: str, address: bool = False) -> None:
    """A row that names them in each table, by their id, or by their address alone where that is looked for."""
    with database.transaction() as session:
        for name, columns in TABLES.items():
            if name == "erasure" or (address and name in {"users", "waiting", "activity"}):
                continue
            source = SQLModel.metadata.tables[name]
            named = {each: _named(source, source.c[each], person, address=address) for each in columns.personal.split()}
            row = {column.name: _other(source, column) for column in source.c} | named
            if name == "job_file":
                row |= {"job_id": job, "ordinal": 0, "name": f"{person.id}.json", "key": key}
            if name == "job":
                row["id"] = job
            session.connection().execute(insert(source), row)


def _named(source: Table, column: Column[Any], person: Person, *, address: bool) -> Any:
    if (source.name, column.name) in _EXACT:
        return None if address else person.id
    told = {"user": "", "email": person.address} if address else {"user": person.id, "email": person.address}
    if (source.name, column.name) in {("users", "email"), ("users", "email_key")}:
        return person.address
    if isinstance(column.type, JSON):
        return told
    if kind_of(column) is bytes:
        return json.dumps(told).encode()
    return json.dumps(told | {"once": str(uuid4())})  # some are unique


def _other(source: Table, column: Column[Any]) -> Any:
    if (source.name, column.name) in _SAID:
        return _SAID[source.name, column.name]
    kind = kind_of(column)
    if column.name == "event_id":
        return due_id(str(uuid4()), LONG_AGO)
    if column.nullable:
        return None
    values: dict[type, Any] = {
        str: str(uuid4()),
        int: uuid4().int >> 98,
        float: 0.0,
        bool: False,
        datetime: LONG_AGO,
        object: {},
        bytes: b"",
    }
    return values[kind]


def everything(database: Database) -> dict[str, str]:
    """All that the database holds, by table, as text."""
    with database.reading() as session:
        run = session.connection().execute
        tables = SQLModel.metadata.tables
        return {name: repr([tuple(row) for row in run(select(tables[name]))]) for name in TABLES if name != "erasure"}


def file_of(store: Store, job: str, content: bytes) -> str:
    """A file in the store; gives its key."""
    key = new_key(job)
    with store.put(key) as file:
        file.write(content)
    return key


def erased(database: Database, folder: Path, person: Person, progress: Progress | None = None) -> Progress:
    """Erase them, each step in a transaction of its own."""

    @contextmanager
    def step(_: Any) -> Iterator[Any]:
        with database.transaction() as session:
            yield session

    progress = progress or Progress(datetime.now(UTC), person.address)
    erasing = Erasing(database, WithSmall(Folder(folder)), person, step=step, tell=lambda _, __: None)
    erasing.begin(progress)
    erasing.erase(progress)
    return progress
