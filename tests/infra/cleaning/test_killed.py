"""A cleaning that is killed between two of its transactions has done what it did, and the next one goes on."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from infra.cleaning import cleaning
from infra.database.recovery_tables import Audit
from infra.database.tables import Activity, Effect, EventLog, Inbox
from infra.faults import EXIT
from infra.settings import environment_without_settings
from tests.oldlogs import fill
from tests.oldrows import DAY, Rows, ago

ROOT = Path(__file__).parents[3]
EVENTS = 600
#: Effects that no row of the inbox owns any more, and rows of the inbox of events that could be sent again.
_ORPHANS = (
    "SELECT count(*) FROM effect WHERE NOT EXISTS "
    "(SELECT 1 FROM inbox WHERE inbox.event_id = effect.event_id AND inbox.consumer = effect.consumer)"
)
_FORGOTTEN = (
    "SELECT count(*) FROM event_log WHERE position < 600 AND NOT EXISTS "
    "(SELECT 1 FROM inbox WHERE inbox.event_id = event_log.event_id AND inbox.consumer = 'one')"
)


def clean(url: str, state: Path, **settings: str) -> int:
    """`./tidings clean` as a process of its own; gives its exit code."""
    given = {"database_url": url, "state_dir": str(state), **settings}
    environment = environment_without_settings() | {f"TIDINGS_{name.upper()}": each for name, each in given.items()}
    command = [sys.executable, "-m", "infra.cleaning"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False).returncode


def number(rows: Rows, query: str) -> int:
    with rows.database.reading() as session:
        return int(session.connection().execute(text(query)).scalar_one())


@pytest.mark.parametrize("nth", [2, 5, 8])
def test_what_is_half_done_is_whole_at_each_step_and_ends_with_the_next(
    rows: Rows, database_url: str, tmp_path: Path, nth: int
) -> None:
    fill(rows.database, EVENTS, 200 * DAY)
    sent = {"consumer": "one", "ordinal": 0, "kind": "mail", "arguments": {}, "key": "k", "state": "sent", "owner": ""}
    moments = {"busy_until": ago(200 * DAY), "sent_at": ago(200 * DAY)}
    rows.insert(Effect, *(sent | moments | {"event_id": event} for event in rows.of(EventLog, "event_id")))
    assert EXIT == clean(database_url, tmp_path, fault=f"cleaning.between-batches:{nth}:exit")
    left = len(rows.of(EventLog, "position")) + len(rows.of(Inbox, "event_id")) + len(rows.of(Activity, "event_id"))
    newest = 1 if nth * cleaning.BATCH >= EVENTS else 0  # which stays in the log
    assert nth * cleaning.BATCH - newest == 4 * EVENTS - left
    assert (0, 0) == (number(rows, _ORPHANS), number(rows, _FORGOTTEN))
    assert 0 == clean(database_url, tmp_path)
    assert [1, 2, 1, 0, 1] == rows.count(EventLog, Inbox, Effect, Activity, Audit)
