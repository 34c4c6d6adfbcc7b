"""Looking once more for the erased: one that is asked for anew meanwhile is left to its own later look."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from events.envelope import Envelope, announce
from events.users import UserErased
from infra.database import erasures, outbox
from infra.database.engine import Database
from infra.database.erasure_tables import Erasure
from infra.jobs.storing import Folder
from infra.personal.erasing import AGAIN, KIND
from infra.personal.finishing import finish
from tests.jobs import ask, change

NOW = datetime.now(UTC)
LATER = NOW + AGAIN
DUE = NOW - timedelta(seconds=1)


def begin(database: Database, user: str) -> None:
    with database.transaction() as session:
        erasures.begin(session, user, NOW)


def tell(database: Database, user: str, again_at: datetime) -> Envelope:
    """An erasure ends: others are told of it."""
    envelope = announce(UserErased(user_id=user), source="/consumers/erase-user")
    with database.transaction() as session:
        outbox.add(session, envelope)
        erasures.announce(session, user, envelope.id, again_at)
    return envelope


def looks(database: Database, folder: Path, now: datetime = NOW) -> Iterator[int]:
    return finish(database, Folder(folder), folder, now)


def look(database: Database, folder: Path, now: datetime = NOW) -> int:
    """Look for all that are due; gives how many these were."""
    return len(list(looks(database, folder, now)))


def found(database: Database, user: str) -> Erasure:
    with database.reading() as session:
        one = erasures.find(session, user)
    assert one is not None
    return one


@pytest.fixture
def ada(database: Database) -> str:
    """Whose erasure is to be looked at now."""
    user = str(uuid4())
    begin(database, user)
    tell(database, user, DUE)
    return user


@pytest.fixture
def later_one(database: Database, tmp_path: Path, ada: str) -> tuple[str, Iterator[int]]:
    """Another one that was found due, too, and the look that comes to it next."""
    user = str(uuid4())
    begin(database, user)
    tell(database, user, DUE + timedelta(microseconds=1))
    under_way = looks(database, tmp_path)
    next(under_way)
    assert found(database, ada).subject is None
    return user, under_way


def test_one_that_ends_anew_while_it_is_looked_for_is_looked_for_later_and_tells_others(
    database: Database, later_one: tuple[str, Iterator[int]]
) -> None:
    user, under_way = later_one
    begin(database, user)
    told = tell(database, user, LATER)
    assert 1 == len(list(under_way))
    with database.reading() as session:
        assert told.id in {row.event_id for row in outbox.due(session, 10)}
    assert (user, LATER, told.id) == (
        found(database, user).subject,
        found(database, user).again_at,
        found(database, user).announced,
    )


def test_one_that_is_at_work_anew_while_it_is_looked_for_is_not_forgotten(
    database: Database, later_one: tuple[str, Iterator[int]]
) -> None:
    user, under_way = later_one
    ask(database, KIND, user_id=user)
    begin(database, user)
    assert 1 == len(list(under_way))
    assert user == found(database, user).subject
    tell(database, user, LATER)
    assert LATER == found(database, user).again_at


@pytest.mark.parametrize(
    "spelled", [str, str.upper, lambda user: user.replace("-", "")], ids=["as-kept", "in-capitals", "without-hyphens"]
)
def test_one_that_was_asked_for_anew_is_looked_for_when_that_job_has_ended(
    database: Database, tmp_path: Path, ada: str, spelled: Callable[[str], str]
) -> None:
    job = ask(database, KIND, user_id=spelled(ada))
    assert (0, ada) == (look(database, tmp_path), found(database, ada).subject)
    begin(database, ada)
    assert (0, ada) == (look(database, tmp_path), found(database, ada).subject)
    change(database, job, state="cancelled", finished_at=NOW)
    assert (1, None) == (look(database, tmp_path), found(database, ada).subject)


def test_a_job_about_somebody_else_keeps_nobody_from_being_looked_for(
    database: Database, tmp_path: Path, ada: str
) -> None:
    ask(database, KIND, user_id=str(uuid4()))
    ask(database, "export-user", user_id=ada)
    assert (1, None) == (look(database, tmp_path), found(database, ada).subject)
