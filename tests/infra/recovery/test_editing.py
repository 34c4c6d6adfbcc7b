"""Discarding and editing: how a letter is closed without a replay."""

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from events import envelope
from events.envelope import decode
from events.users import UserRegistered
from infra.database import audit, outbox
from infra.database.dead_letters import Filter
from infra.database.engine import Database
from infra.errors import NotKnown, NotPossible
from infra.fitting import DoesNotFit
from infra.recovery import discarding, editing, replaying
from infra.recovery.replaying import Terms
from tests import envelopes, given_up

ME: dict[str, Any] = {"who": "ada", "why": "a typing error"}
DATA = {"user_id": str(uuid4()), "name": "Grace Hopper", "email": "grace@example.com"}


@pytest.fixture(autouse=True)
def consumers(database: Database) -> None:
    """The consumer whose letters these are."""
    given_up.declare(database, given_up.SMS)


def edit(database: Database, letter_id: str, data: dict[str, Any] = DATA) -> str:
    with database.transaction() as session:
        return editing.edit(session, letter_id, data, **ME)


def discard(database: Database, letter_id: str) -> None:
    with database.transaction() as session:
        discarding.discard(session, letter_id, **ME)


def announced(database: Database) -> list[outbox.Due]:
    with database.reading() as session:
        return outbox.due(session, 100)


def deeds(database: Database) -> list[tuple[str, str, str, str]]:
    with database.reading() as session:
        rows = audit.page(session, audit.Filter(), before=None, limit=100)
    return [(row.who, row.action, row.target, row.why) for row in rows]


def test_a_discarded_letter_is_closed_with_the_reason(database: Database) -> None:
    one, other = given_up.some(database, 2)
    discard(database, one)
    row = given_up.find(database, one)
    assert ("discarded", "a typing error") == (row.state, row.closed_with)
    assert row.closed_at is not None
    assert [other] == given_up.in_state(database, "waiting")
    assert [("ada", "dead-letter.discard", one, "a typing error")] == deeds(database)


def test_a_single_replay_that_never_comes_back_may_be_discarded(database: Database) -> None:
    (one,) = given_up.some(database, 1)
    with database.transaction() as session:
        replaying.replay_one(session, one, **ME)
    discard(database, one)
    assert "discarded" == given_up.find(database, one).state


def test_what_is_closed_or_belongs_to_an_operation_is_neither_discarded_nor_edited(database: Database) -> None:
    discarded, queued = given_up.some(database, 2)
    discard(database, discarded)
    with database.transaction() as session:
        operation = replaying.start(session, Filter(), Terms(), **ME)
    written = len(deeds(database))
    for deed in (edit, discard):
        for each, error, words in [
            (str(uuid7()), NotKnown, "No dead letter has this id."),
            (discarded, NotPossible, "is closed: it was discarded"),
            (queued, NotPossible, "replay"),
        ]:
            with pytest.raises(error, match=words):
                deed(database, each)
    with pytest.raises(NotPossible, match=operation.id):
        discard(database, queued)
    assert (written, []) == (len(deeds(database)), announced(database))


def test_an_edited_event_is_a_new_one_that_names_the_old_one_as_its_cause(database: Database) -> None:
    old = envelopes.ada()
    (letter,) = given_up.keep(database, [given_up.letter(old)])
    made = edit(database, letter)
    (row,) = announced(database)
    new = decode(row.body.encode())
    assert (made, UserRegistered(**DATA), "/operators") == (new.id, new.data, new.source)
    assert (old.id, old.id, old.correlation_id, old.traceparent) == (
        new.replay_of,
        new.causation_id,
        new.correlation_id,
        new.traceparent,
    )
    assert (DATA["user_id"], old.type) == (new.subject, new.type)
    closed = given_up.find(database, letter)
    assert ("superseded", made) == (closed.state, closed.closed_with)
    assert [("ada", "dead-letter.edit", letter, "a typing error")] == deeds(database)


def test_data_that_does_not_fit_changes_nothing_and_names_the_field(database: Database) -> None:
    (letter,) = given_up.some(database, 1)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({**DATA, "email": "nobody"}, "data.email: string pattern mismatch."),
        ({"name": "Grace"}, r"data.user_id: missing \(and 1 more\)."),
        ({**DATA, "emial": "x"}, "data.emial: extra forbidden."),
        ({**DATA, "name": 5}, "data.name: string type."),
        ({}, r"data.user_id: missing \(and 2 more\)."),
    ]
    for data, words in wrong:
        with pytest.raises(DoesNotFit, match=words):
            edit(database, letter, data)
    assert ("waiting", [], []) == (given_up.find(database, letter).state, announced(database), deeds(database))


def test_an_error_of_an_edit_never_quotes_the_data(database: Database) -> None:
    (letter,) = given_up.some(database, 1)
    with pytest.raises(DoesNotFit) as caught:
        edit(database, letter, {**DATA, "email": "hunter2"})
    assert "hunter2" not in f"{caught.value} {caught.value.errors}"


def test_bytes_that_are_no_event_are_edited_when_they_say_of_which_type_they_are(database: Database) -> None:
    old_id = str(uuid7())
    body = json.dumps({"type": "user.registered", "data": {"name": None}}).encode()
    without_id, with_id = given_up.keep(
        database,
        [given_up.undecodable(body), replace(given_up.undecodable(body), event_id=old_id, type="user.registered")],
    )
    edit(database, without_id)
    edit(database, with_id)
    first, second = (decode(row.body.encode()) for row in announced(database))
    assert (None, None, first.id) == (first.replay_of, first.causation_id, first.correlation_id)
    assert (old_id, old_id, old_id) == (second.replay_of, second.causation_id, second.correlation_id)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\x00\xff", "does not say of which type"),
        (b"[]", "does not say of which type"),
        (b'{"type": 5}', "does not say of which type"),
        (b'{"type": "order.paid"}', "does not know events of its type"),
        (b"[" * 300_000, "does not say of which type"),
    ],
)
def test_what_nobody_knows_the_type_of_cannot_be_edited(database: Database, body: bytes, words: str) -> None:
    (letter,) = given_up.keep(database, [given_up.undecodable(body)])
    with pytest.raises(NotPossible, match=words):
        edit(database, letter)


def test_an_event_that_becomes_too_large_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    (letter,) = given_up.some(database, 1)
    monkeypatch.setattr(envelope, "MAX_BYTES", 200)
    with pytest.raises(DoesNotFit, match="data: too large"):
        edit(database, letter)
    assert "waiting" == given_up.find(database, letter).state


def test_an_events_own_check_that_stumbles_is_an_error_of_the_data(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    (letter,) = given_up.some(database, 1)

    def stumble(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(UserRegistered, "model_validate", stumble)
    with pytest.raises(DoesNotFit, match="data: ZeroDivisionError"):
        edit(database, letter)
