"""`erase-user`: whatever happens on the way, nothing is left of the person, others are told, and a receipt says so."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, update

import consumers.erase_user
from events.envelope import Envelope, announce, encode
from events.users import UserRegistered
from infra.database import erasures, event_log, leases, outbox
from infra.database.engine import Database, connect
from infra.database.job_tables import Job, JobFile
from infra.database.leases import Holding
from infra.database.personal import Person
from infra.database.tables import EventLog, Outbox, User, table
from infra.jobs.storing import Folder, WithSmall
from infra.outcomes import Done, Incoming, Park
from infra.personal.erasing import AGAIN, KIND
from infra.personal.finishing import finish
from infra.settings import Settings
from infra.subscriptions import Subscription, recorded
from tests.jobs import Worker, ask, row_of
from tests.people import everything, file_of, rows_of

ADA = Person(str(uuid4()), "ada@example.com")
NEVER_SEEN = str(uuid4())
assert consumers.erase_user.LONGEST  # the kind is there


class Town(Worker):
    """A process that does jobs, with settings."""

    def make(self, **options: Any) -> None:
        super().make(**options)
        settings = Settings(state_dir=self.folder, results_url=self.folder.as_uri())
        self.deliveries._provisions = {**self.deliveries._provisions, Settings: settings}


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Iterator[Town]:
    town = Town(database, tmp_path)
    yield town
    town.close()


@pytest.fixture
def kind() -> Subscription:
    return next(each for each in recorded() if each.consumer == KIND)


def there_is(town: Town, person: Person = ADA) -> None:
    """Somebody, in every table."""
    job = str(uuid4())
    rows_of(town.database, person, job=job, key=file_of(Folder(town.folder), job, b"x"))


def asked(database: Database, user: str = ADA.id) -> Envelope:
    """The request for a job, in the log as the relay has it."""
    envelope = ask(database, KIND, user_id=user)
    with database.transaction() as session:
        outbox.add(session, envelope)
    publish(database)
    return envelope


def publish(database: Database) -> None:
    holding = Holding("relay", "me", 60.0)
    with database.transaction() as session:
        leases.acquire(session, holding.name, holding.holder, holding.seconds)
        event_log.publish(session, outbox.due(session, 100), lease=holding)


def receipt(town: Town, envelope: Envelope) -> dict[str, Any]:
    job = row_of(town.database, envelope).id
    with town.database.reading() as session:
        file = table(JobFile)
        key = session.connection().execute(select(file.c.key).where(file.c.job_id == job)).scalar_one()
    with WithSmall(Folder(town.folder)).open(key) as content:
        said: dict[str, Any] = json.load(content)
    return said


def naming(database: Database, person: Person = ADA) -> set[str]:
    """Tables in which they are named."""
    return {name for name, text in everything(database).items() if person.id in text or str(person.address) in text}


def test_nothing_is_left_but_what_carries_the_erasure(town: Town, kind: Subscription) -> None:
    there_is(town)
    envelope = asked(town.database)
    assert Done() == town.deliver(kind, envelope)
    assert "succeeded" == row_of(town.database, envelope).state
    assert {"job", "event_log", "outbox"} == naming(town.database)  # who asked, and the event that tells others


def test_the_receipt_says_what_was_erased_where_and_names_nobody(town: Town, kind: Subscription) -> None:
    there_is(town)
    envelope = asked(town.database)
    town.deliver(kind, envelope)
    said = receipt(town, envelope)
    assert {"users": 1, "activity": 1, "waiting": 1, "idempotency": 1} == {
        name: said["erased"][name] for name in ("users", "activity", "waiting", "idempotency")
    }
    assert (False, "operator", erasures.key_of(ADA.id)) == (
        said["nothing_was_left"],
        said["requested_by"],
        said["subject"],
    )
    assert ADA.id not in json.dumps(said)
    assert str(ADA.address) not in json.dumps(said)


def test_others_are_told_by_an_event_that_is_let_through(town: Town, kind: Subscription) -> None:
    there_is(town)
    town.deliver(kind, asked(town.database))
    with town.database.reading() as session:
        (told,) = session.connection().execute(select(table(Outbox)).where(table(Outbox).c.type == "user.erased"))
        assert set() == erasures.of(session, [(told.event_id, told.subject)])
        assert {("another", ADA.id)} == erasures.of(session, [("another", ADA.id)])


def test_somebody_who_was_never_there_fails_the_job_at_once(town: Town, kind: Subscription) -> None:
    envelope = asked(town.database, NEVER_SEEN)
    outcome = town.deliver(kind, envelope)
    assert isinstance(outcome, Park)
    row = row_of(town.database, envelope)
    assert ("failed", 1, True) == (row.state, row.attempts, "No user has this id" in row.error)


def test_twice_succeeds_and_says_that_nothing_was_left(town: Town, kind: Subscription) -> None:
    there_is(town)
    town.deliver(kind, asked(town.database))
    publish(town.database)
    again = asked(town.database)
    assert Done() == town.deliver(kind, again)
    said = receipt(town, again)
    assert set(said["erased"]) <= {"job", "event_log", "inbox"}  # of the first time: who it was about


def test_one_that_fails_before_it_tells_others_leaves_what_an_earlier_one_tells_them(
    town: Town, kind: Subscription
) -> None:
    there_is(town)
    town.deliver(kind, asked(town.database))
    with town.database.reading() as session:
        (told,) = session.connection().execute(select(table(Outbox).c.event_id)).scalars()
    (town.folder / "exports" / "no-file.json").mkdir(parents=True)  # no draft that can be read
    assert not isinstance(town.deliver(kind, ask(town.database, KIND, user_id=ADA.id)), Done)
    with town.database.reading() as session:
        assert [told] == list(session.connection().execute(select(table(Outbox).c.event_id)).scalars())


def test_somebody_of_whom_only_events_are_left_is_erased(town: Town, kind: Subscription) -> None:
    with town.database.transaction() as session:
        event = UserRegistered(user_id=ADA.id, name="Ada", email=str(ADA.address))
        outbox.add(session, announce(event, source="/test"))
    publish(town.database)
    envelope = asked(town.database)
    assert Done() == town.deliver(kind, envelope)
    assert 1 == receipt(town, envelope)["erased"]["event_log"]


def test_it_goes_on_where_it_was_after_each_of_its_steps(town: Town, kind: Subscription) -> None:
    there_is(town)
    envelope = asked(town.database)
    looks = count()
    town.make(is_stopping=lambda: next(looks) % 5 == 4)  # again and again it is told to end
    outcomes = [town.deliver(kind, envelope)]
    while not isinstance(outcomes[-1], Done) and len(outcomes) < 100:
        outcomes.append(town.deliver(kind, envelope, redelivered=True))
    assert (Done(), True) == (outcomes[-1], len(outcomes) > 3)
    assert {"job", "event_log", "outbox"} == naming(town.database)
    assert 1 == receipt(town, envelope)["erased"]["users"]


def test_six_hours_later_even_the_request_forgets_whom_it_was_about(town: Town, kind: Subscription) -> None:
    there_is(town)
    envelope = asked(town.database)
    town.deliver(kind, envelope)
    publish(town.database)
    late = announce(UserRegistered(user_id=ADA.id, name="Ada", email=str(ADA.address)), source="/test")
    with town.database.transaction() as session:
        outbox.add(session, late)  # a handler that was under way
    publish(town.database)
    store = WithSmall(Folder(town.folder))
    assert [] == list(finish(town.database, store, town.folder, datetime.now(UTC)))
    assert 1 == len(list(finish(town.database, store, town.folder, datetime.now(UTC) + AGAIN + timedelta(minutes=1))))
    assert {"event_log"} == naming(town.database)
    with town.database.reading() as session:
        log = table(EventLog)
        left = session.connection().execute(select(log.c.type).where(log.c.erased_at.is_(None))).scalars()
        assert ["user.erased"] == list(left)
        found = erasures.find(session, ADA.id)
        assert found is not None
        assert (None, None) == (found.subject, found.again_at)
    assert 1 == receipt(town, envelope)["erased"]["users"]
    town.make()
    assert Done(filtered=True) == _delivered(town, late)


def test_one_that_has_not_ended_is_not_looked_at_again(town: Town, kind: Subscription) -> None:
    there_is(town)
    envelope = asked(town.database)
    looks = count()
    town.make(is_stopping=lambda: next(looks) > 4)
    assert not isinstance(town.deliver(kind, envelope), Done)
    later = datetime.now(UTC) + AGAIN + timedelta(minutes=1)
    assert [] == list(finish(town.database, WithSmall(Folder(town.folder)), town.folder, later))
    town.make()
    assert Done() == town.deliver(kind, envelope, redelivered=True)
    assert "succeeded" == row_of(town.database, envelope).state
    later = datetime.now(UTC) + AGAIN
    assert 1 == len(list(finish(town.database, WithSmall(Folder(town.folder)), town.folder, later)))


def test_asked_for_again_after_one_that_was_cancelled_it_still_finds_them_by_their_address(
    town: Town, kind: Subscription
) -> None:
    there_is(town)
    job = str(uuid4())
    rows_of(town.database, ADA, job=job, key=file_of(Folder(town.folder), job, b"x"), address=True)
    first, looks = asked(town.database), count()
    town.make(is_stopping=lambda: next(looks) > 4)
    town.deliver(kind, first)
    with town.database.transaction() as session:
        users = session.connection().execute(select(table(User).c.id)).all()
        changes = update(table(Job)).where(table(Job).c.event_id == first.id)
        session.connection().execute(changes.values(state="cancelled", finished_at=datetime.now(UTC)))
    assert ([], True) == (users, len(naming(town.database)) > 3)
    town.make()
    assert Done() == town.deliver(kind, asked(town.database))
    assert naming(town.database) <= {"job", "event_log", "outbox", "inbox"}


def _delivered(town: Town, envelope: Envelope) -> Any:
    subscription = Subscription("tested", ("user.registered",), lambda *_: None)
    (outcome,) = town.deliveries.handler(subscription)([Incoming(encode(envelope))])
    return outcome


def test_not_even_the_files_of_sqlite_hold_the_address(sqlite_url: str, tmp_path: Path, kind: Subscription) -> None:
    """Rows that are gone leave their bytes behind, as a rule, in free pages and in the write-ahead log."""
    database = connect(sqlite_url)
    town = Town(database, tmp_path / "results")
    for number in range(20):
        there_is(town, Person(str(uuid4()), f"eva-{number}@example.com"))
    there_is(town)
    assert Done() == town.deliver(kind, asked(database))
    files = [path for path in tmp_path.glob("tidings.db*") if path.is_file()]
    assert [] == [path.name for path in files if b"ada@example.com" in path.read_bytes()]
    town.close()
    database.close()
