"""Events about something else that name somebody: who is still to have them gets them, and later they are emptied."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select
from sqlmodel import SQLModel

from infra.database import erasures, turns
from infra.database.consumer_tables import Waiting
from infra.database.engine import Database
from infra.database.personal import Person
from infra.database.recovery_tables import DeadLetter, Resend, Unsettled
from infra.database.tables import Effect, EventLog, Inbox, Subscription, table
from infra.jobs.storing import Folder
from infra.personal.finishing import finish
from tests.oldrows import id_of
from tests.people import erased

ADA = Person(str(uuid4()), "ada@example.com")
NOW, LOG = datetime.now(UTC), table(EventLog)
EVENT = id_of(timedelta(hours=1))
BODY = '{"to": "ada@example.com"}'
#: What is still under way of the event at a consumer: its row.
UNDER_WAY: dict[type[SQLModel], dict[str, Any]] = {
    Inbox: {"event_id": EVENT, "consumer": "tested", "state": "retrying", "attempts": 1, "first_at": NOW},
    Effect: {
        "event_id": EVENT, "consumer": "tested", "ordinal": 0, "kind": "mail",
        "arguments": {"to": "ada@example.com"}, "key": "k", "state": "intended", "owner": "me", "busy_until": NOW,
    },
    DeadLetter: {
        "id": "l", "key": f"tested/{EVENT}", "consumer": "tested", "event_id": EVENT, "type": "x", "subject": "box",
        "reason": "handler-error", "error": "E", "fingerprint": "f", "attempts": 1, "first_failed_at": NOW,
        "last_failed_at": NOW, "version": "1", "body": BODY.encode(), "state": "waiting", "replays": 0,
    },
    Resend: {
        "consumer": "tested", "event_id": EVENT, "type": "x", "body": BODY.encode(), "backfilled": False,
        "added_at": NOW - timedelta(hours=1),
    },
    Unsettled: {"consumer": "tested", "position": 7, "event_id": EVENT, "published_at": NOW},
    Waiting: {"consumer": "tested", "position": 7, "subject": "box", "event_id": EVENT, "since": NOW},
}  # fmt: skip


def there_is(database: Database, scanned: int = 7, *under_way: type[SQLModel]) -> None:
    """An event about a box that names her by her address alone, at one consumer."""
    log = {"position": 7, "event_id": EVENT, "type": "x", "subject": "box", "body": BODY, "published_at": NOW}
    consumer = {"consumer": "tested", "types": ["x"], "description": "", "since": 0, "declared_at": NOW}
    with database.transaction() as session:
        run = session.connection().execute
        run(insert(LOG), log)
        run(insert(table(Subscription)), consumer | {"scanned": scanned, "resent": 0, "options": {}})
        for model in under_way:
            run(insert(table(model)), UNDER_WAY[model])


def in_log(database: Database) -> tuple[str, str | None]:
    """The event's body and subject."""
    with database.reading() as session:
        body, subject = session.connection().execute(select(LOG.c.body, LOG.c.subject)).one()
        return body, subject


def rows(database: Database, model: type[SQLModel]) -> list[Any]:
    with database.reading() as session:
        return [tuple(row) for row in session.connection().execute(select(table(model))).all()]


def test_what_has_come_to_rest_is_emptied_and_keeps_whom_it_is_about(database: Database, tmp_path: Path) -> None:
    there_is(database)
    assert 0 == erased(database, tmp_path, ADA).left
    assert ("", "box") == in_log(database)


@pytest.mark.parametrize("model", UNDER_WAY, ids=lambda model: model.__tablename__)
def test_what_somebody_is_still_to_have_is_left_as_it_is(
    database: Database, tmp_path: Path, model: type[SQLModel]
) -> None:
    there_is(database, 7, model)
    before = rows(database, model)
    assert erased(database, tmp_path, ADA).left
    assert ((BODY, "box"), before) == (in_log(database), rows(database, model))


def test_what_no_scan_has_gone_past_is_left(database: Database, tmp_path: Path) -> None:
    there_is(database, 6)
    assert 1 == erased(database, tmp_path, ADA).left
    assert (BODY, "box") == in_log(database)


def test_the_later_pass_finds_it_by_the_address_and_nothing_waits_for_it(database: Database, tmp_path: Path) -> None:
    there_is(database, 6, *UNDER_WAY)
    assert erased(database, tmp_path, ADA).left
    with database.transaction() as session:
        erasures.announce(session, ADA.id, "told", NOW, ADA.address)
    (found,) = finish(database, Folder(tmp_path), tmp_path, NOW + timedelta(minutes=1))
    assert found > 3
    assert ("", "box") == in_log(database)
    assert [[], []] == [rows(database, model) for model in (Waiting, Resend)]
    assert [] == [model for model in (Effect, DeadLetter) if "ada@example.com" in str(rows(database, model))]
    with database.reading() as session:
        erasure = erasures.find(session, ADA.id)
        assert erasure is not None
        assert (None, None) == (erasure.subject, erasure.address)


def test_the_next_one_of_its_subject_does_not_wait_for_what_was_emptied(database: Database, tmp_path: Path) -> None:
    there_is(database, 6)
    later = {"position": 8, "event_id": id_of(timedelta()), "type": "x", "subject": "box", "body": "{}"}
    with database.transaction() as session:
        session.connection().execute(insert(LOG), later | {"published_at": NOW})

    def first_open() -> int | None:
        with database.reading() as session:
            one = turns.place(session, str(later["event_id"]), "tested")
            assert one is not None
            return turns.first_open(session, "tested", ["x"], one)

    assert 7 == first_open()
    erased(database, tmp_path, replace(ADA, is_last=True))
    assert first_open() is None
