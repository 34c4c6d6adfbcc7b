"""The duty that looks after replays: what is lost on its way waits for an operator again, and the log says so."""

from datetime import UTC, datetime, timedelta

from structlog.testing import capture_logs

from infra.database import replays
from infra.database.engine import Database
from infra.recovery.returning import EVERY, Returning
from tests.letters import found, keep, letter, put
from tests.relays import record, registered


def test_a_step_brings_back_what_never_came_to_an_end_and_leaves_the_rest(database: Database) -> None:
    record(database, "user.registered")
    lost, fresh, waits = keep(database, *(letter(registered()) for _ in range(3)))
    now = datetime.now(UTC)
    put(database, lost, state="replaying", replayed_at=now - replays.LONGEST - timedelta(seconds=1))
    put(database, fresh, state="replaying", replayed_at=now)
    with capture_logs() as lines:
        assert [EVERY, EVERY] == [Returning(database).step() for _ in range(2)]
    assert ["waiting", "replaying", "waiting"] == [found(database, each).state for each in (lost, fresh, waits)]
    assert [(1, lost)] == [(line["letters"], line["first"]) for line in lines]
