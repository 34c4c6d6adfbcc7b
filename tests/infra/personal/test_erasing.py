"""Erasing: nothing that names the person is left in any table or file, and nothing of anybody else is touched."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select

from infra.database.engine import Database
from infra.database.job_tables import JobFile
from infra.database.personal import Person
from infra.database.tables import EventLog, Outbox, table
from infra.errors import NotStored
from infra.jobs.storing import Folder, WithSmall, new_key
from infra.personal import drafts
from infra.personal.erasing import Erasing, Progress
from tests.oldrows import id_of
from tests.people import erased, everything, file_of, rows_of

ADA = Person(str(uuid4()), "a@example.com")
#: Whose address ends as Ada's does.
EVA = Person(str(uuid4()), "eva@example.com")


def test_nothing_that_names_them_is_left(database: Database, tmp_path: Path) -> None:
    store, job = WithSmall(Folder(tmp_path)), str(uuid4())
    key = file_of(store, job, b"x")
    rows_of(database, ADA, job=job, key=key)
    erased(database, tmp_path, ADA)
    assert [] == [name for name, text in everything(database).items() if ADA.id in text or f'"{ADA.address}"' in text]
    with pytest.raises(NotStored):
        store.open(key)


def test_what_names_them_by_their_address_alone_is_found(database: Database, tmp_path: Path) -> None:
    job = str(uuid4())
    rows_of(database, ADA, job=job, key=file_of(Folder(tmp_path), job, b"x"), address=True)
    erased(database, tmp_path, ADA)
    left = {name for name, text in everything(database).items() if str(ADA.address) in text}
    assert left <= {"inbox"}  # in an error's text, where it might be the end of another one


def test_nobody_else_is_touched(database: Database, tmp_path: Path) -> None:
    for address in (False, True):
        job = str(uuid4())
        rows_of(database, EVA, job=job, key=file_of(Folder(tmp_path), job, b"x"), address=address)
    before = everything(database)
    assert {} == erased(database, tmp_path, ADA).rows
    assert before == everything(database)


def test_twice_is_the_same_and_finds_nothing_more(database: Database, tmp_path: Path) -> None:
    job = str(uuid4())
    rows_of(database, ADA, job=job, key=file_of(Folder(tmp_path), job, b"x"))
    assert erased(database, tmp_path, ADA).rows
    after = everything(database)
    assert {} == erased(database, tmp_path, ADA).rows
    assert after == everything(database)


def test_a_place_of_the_log_stays_without_its_event(database: Database, tmp_path: Path) -> None:
    job = str(uuid4())
    rows_of(database, ADA, job=job, key=file_of(Folder(tmp_path), job, b"x"))
    erased(database, tmp_path, ADA)
    log = table(EventLog)
    with database.reading() as session:
        (row,) = session.connection().execute(select(log)).all()
        assert [] == session.connection().execute(select(table(Outbox))).all()
    assert ("", None, True) == (row.body, row.subject, row.erased_at is not None)


def test_an_address_counts_only_for_what_is_older_than_the_erasure(database: Database, tmp_path: Path) -> None:
    """Whoever has it after them, the same person perhaps, is somebody else here."""
    job = str(uuid4())
    rows_of(database, ADA, job=job, key=file_of(Folder(tmp_path), job, b"x"), address=True)
    before = everything(database)
    assert {} == erased(database, tmp_path, ADA, Progress(datetime(2020, 1, 1, tzinfo=UTC), ADA.address)).rows
    assert before == everything(database)


@pytest.mark.parametrize(
    "content",
    [ADA.id.encode(), b"mail\r\na@example.com\r\n", b'{"to": "A@example.com"}'],
    ids=["id", "csv", "json"],
)
def test_a_result_of_a_job_about_something_else_that_names_them_goes(
    database: Database, tmp_path: Path, content: bytes
) -> None:
    store, job = WithSmall(Folder(tmp_path)), str(uuid4())
    mine, others = file_of(store, job, content), file_of(store, job, b"ada@example.com eva@example.com")
    with database.transaction() as session:
        for ordinal, key in enumerate((mine, others)):
            row = {"job_id": job, "ordinal": ordinal, "name": "a", "media_type": "text/csv", "key": key, "size": 1}
            values = row | {"digest": "d", "created_at": datetime.now(UTC)}
            session.connection().execute(insert(table(JobFile)), values)
    assert {"job_file": 1} == erased(database, tmp_path, ADA).rows
    with database.reading() as session:
        keys = select(table(JobFile).c.key).order_by(table(JobFile).c.ordinal)
        keys = select(table(JobFile).c.key).order_by(table(JobFile).c.ordinal)
        assert [None, others] == list(session.connection().execute(keys).scalars())
    with pytest.raises(NotStored):
        store.open(mine)
    store.open(others).close()


def test_a_file_that_was_made_after_the_beginning_goes_by_the_id_alone(database: Database, tmp_path: Path) -> None:
    """The address may be registered anew from then on."""
    store, job = WithSmall(Folder(tmp_path)), str(uuid4())
    new, named = file_of(store, job, b"a@example.com"), file_of(store, job, ADA.id.encode())
    progress = Progress(datetime.now(UTC) - timedelta(minutes=1), ADA.address)
    with database.transaction() as session:
        for ordinal, key in enumerate((new, named)):
            row = {"job_id": job, "ordinal": ordinal, "name": "a", "media_type": "text/csv", "key": key, "size": 1}
            values = row | {"digest": "d", "created_at": datetime.now(UTC)}
            session.connection().execute(insert(table(JobFile)), values)
    assert {"job_file": 1} == erased(database, tmp_path, ADA, progress).rows
    store.open(new).close()


def test_a_draft_goes_by_the_address_only_if_its_job_was_asked_for_before(tmp_path: Path) -> None:
    now, hour = datetime.now(UTC), timedelta(hours=1)
    person = Progress(now - hour, ADA.address).about(ADA)
    for age, content in ((2 * hour, ADA.address), (hour / 2, ADA.address), (hour / 3, ADA.id)):
        drafts.path(tmp_path, id_of(age)).write_text(json.dumps(content))
    assert 2 == drafts.remove(tmp_path, person)
    assert [json.dumps(ADA.address)] == [each.read_text() for each in (tmp_path / "exports").iterdir()]


def test_what_a_try_of_one_of_their_jobs_has_left_in_the_store_goes(database: Database, tmp_path: Path) -> None:
    """No row counts it, for that try came to no end."""
    store, job = WithSmall(Folder(tmp_path)), str(uuid4())
    rows_of(database, ADA, job=job, key=file_of(store, job, b"x"))
    others = file_of(store, str(uuid4()), b"x")
    file_of(store, job, b"y")
    (tmp_path / f"{new_key(job)}.part").write_bytes(b"z")
    erased(database, tmp_path, ADA)
    assert [others] == list(store.keys(datetime.now(UTC) + timedelta(minutes=1)))


def test_a_long_walk_that_finds_nothing_goes_on_where_it_was(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.database.personal.WINDOW", 1)
    monkeypatch.setattr("infra.personal.erasing.EVERY", -1.0)
    for number in range(3):
        other, job = Person(str(uuid4()), f"eva-{number}@example.com"), str(uuid4())
        rows_of(database, other, job=job, key=file_of(Folder(tmp_path), job, b"x"))
    states = list[Any]()

    @contextmanager
    def step(state: Any) -> Iterator[Any]:
        states.append((state["place"], state["after"]))
        with database.transaction() as session:
            yield session

    progress = Progress(datetime.now(UTC), ADA.address)
    erasing = Erasing(database, WithSmall(Folder(tmp_path)), ADA, step=step, tell=lambda _, __: None)
    erasing.erase(progress)
    assert (True, len(states)) == (len(states) > 9, len({str(each) for each in states}))
    place, after = states[3]
    seen = len(states)
    erasing.erase(Progress(datetime.now(UTC), ADA.address, place, after))
    assert states[4:seen] == states[seen:]
