"""Reading all that the database holds: what is counted, what fails, and what is never said."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from events.clock import DayEnded
from events.envelope import Envelope, announce, encode
from infra.database import bodies, outbox, resends
from infra.database.bodies import Filter
from infra.database.engine import Database
from infra.database.resends import Addressed
from infra.database.tables import EventLog, table
from infra.schemas.live import LiveView, Reading
from tests.letters import FAILED, keep, letter, put
from tests.relays import registered

DAY = DayEnded(day=datetime(2026, 11, 22, tzinfo=UTC).date())
ANCIENT = datetime(2020, 1, 1, tzinfo=UTC)


def log(database: Database, *events: tuple[Envelope, bytes], at: datetime | None = None, first: int = 1) -> None:
    """Have events in the log, with these bodies."""
    rows = [
        {
            "position": first + number,
            "event_id": event.id,
            "type": event.type,
            "subject": None,
            "body": body.decode(),
            "published_at": at or datetime.now(UTC),
        }
        for number, (event, body) in enumerate(events)
    ]
    with database.transaction() as session:
        session.connection().execute(insert(table(EventLog)), rows)


def good() -> tuple[Envelope, bytes]:
    event = registered()
    return event, encode(event)


def bad(**wrong: Any) -> tuple[Envelope, bytes]:
    """An event whose data no class takes."""
    event = registered()
    return event, json.dumps({**json.loads(encode(event)), **wrong}, ensure_ascii=False).encode()


def read(database: Database, **wanted: Any) -> LiveView:
    return Reading().read(database, Filter(**wanted))


def test_every_place_is_read_and_counted_by_type_and_version(database: Database) -> None:
    log(database, good(), good())
    day, waiting, given_up = announce(DAY, source="/test"), registered(), registered()
    with database.transaction() as session:
        outbox.add_all(session, [(day, None), (waiting, datetime.now(UTC) + timedelta(days=9))])
        resends.add(session, [Addressed("sms", encode(given_up), given_up.id, given_up.type)])
    keep(database, letter(given_up))
    seen = read(database)
    assert {"outbox": 2, "resends": 1, "dead-letters": 1, "log": 2} == seen.places
    assert [("day.ended", 1, 1, 0), ("user.registered", 1, 5, 0)] == [
        (each.type, each.version, each.read, each.unreadable) for each in seen.types
    ]
    assert (6, 0, 0, 0, []) == (
        seen.read, seen.unreadable, seen.given_up_as_unreadable, seen.readable_again, seen.failures
    )  # fmt: skip


def test_what_cannot_be_read_is_named_by_its_id_and_never_quoted(database: Database) -> None:
    one, other = bad(data={"name": "Ada Secret"}), bad(dataschema="/schemas/user.registered/2")
    log(database, good(), one, other)
    seen = read(database)
    assert (1, 2) == (seen.read, seen.unreadable)
    assert [("log", one[0].id, 1), ("log", other[0].id, 2)] == [
        (each.place, each.id, each.version) for each in seen.failures
    ]
    assert ["data.user_id: missing (and 1 more)", "dataschema: newer than user.registered version 1"] == [
        each.problem for each in seen.failures
    ]
    assert "Secret" not in seen.model_dump_json()


def test_dead_letters_that_never_could_be_read_fail_nothing_and_those_that_can_be_now_are_counted(
    database: Database,
) -> None:
    """An operator has them on the list already; a closed one matters to nobody."""
    never, again, closed, handler = registered(), registered(), registered(), bad(data={})
    keep(database, letter(never, reason="not-json", body=b"nonsense", event_id=None))
    keep(database, letter(again, reason="unknown-type"))
    keep(database, letter(handler[0], body=handler[1]))
    (letter_id,) = keep(database, letter(closed, body=b"nonsense"))
    put(database, letter_id, state="discarded")
    seen = read(database)
    assert (1, 1, 1) == (seen.given_up_as_unreadable, seen.readable_again, seen.unreadable)
    assert 3 == seen.places["dead-letters"]


def test_a_replay_of_what_never_could_be_read_fails_nothing(database: Database) -> None:
    (letter_id,) = keep(database, letter(registered(), reason="not-json", body=b"nonsense", event_id=None))
    with database.transaction() as session:
        resends.add(session, [Addressed("sms", b"nonsense", None, None, letter_id)])
    assert (2, 0) == (read(database).given_up_as_unreadable, read(database).unreadable)


def test_a_type_or_a_time_chooses_in_every_place(database: Database) -> None:
    log(database, good(), at=ANCIENT)
    log(database, good(), (day := announce(DAY, source="/test"), encode(day)), first=2)
    with database.transaction() as session:
        outbox.add(session, announce(DAY, source="/test"))
    keep(database, letter(registered(), last_failed_at=ANCIENT, first_failed_at=ANCIENT))
    assert {"day.ended": 2} == {each.type: each.read for each in read(database, type="day.ended").types}
    recent = read(database, since=FAILED - timedelta(hours=1))
    assert {"outbox": 1, "resends": 0, "dead-letters": 0, "log": 2} == recent.places


def test_slices_miss_nothing_and_each_is_told_of(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is added to the log under way is left out: a busy log would never end."""
    monkeypatch.setattr(bodies, "SLICE", 3)
    log(database, *[good() for _ in range(7)])
    lines: list[str] = []

    def show(line: str) -> None:
        lines.append(line)
        log(database, good(), first=7 + len(lines))

    assert 7 == Reading(show).read(database, Filter()).read
    assert ["log: 3 read, position 3", "log: 6 read, position 6", "log: 7 read, position 7"] == lines


def test_only_the_first_failures_are_named_and_all_are_counted(database: Database) -> None:
    log(database, *[bad(data={}) for _ in range(25)])
    seen = read(database)
    assert (25, 20) == (seen.unreadable, len(seen.failures))


def test_an_event_that_an_operator_moved_is_counted_with_its_version(database: Database) -> None:
    """Its body was written anew, by another writer of JSON."""
    event = replace(registered(), subject=None)
    log(database, (event, json.dumps(json.loads(encode(event))).encode()))
    assert [1] == [each.version for each in read(database).types]


def test_a_place_whose_event_was_erased_is_counted_as_such(database: Database) -> None:
    log(database, good(), good())
    with database.transaction() as session:
        erased = update(table(EventLog)).where(table(EventLog).c.position == 1)
        session.connection().execute(erased.values(body="", erased_at=datetime.now(UTC)))
    seen = read(database)
    assert (1, 0, 1) == (seen.read, seen.unreadable, seen.erased)
