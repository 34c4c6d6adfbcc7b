"""Three schedulers, killed at random and all at once: each due time has one event, and a gap is found once."""

import os
import random
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from events.clock import due_id
from infra.database import schedules
from infra.database.schedule_tables import ScheduleGap
from tests.ledger import Account, account
from tests.system.replicas.clock import SLOW, TICKING, TIMETABLE
from tests.system.replicas.consumers import journal
from tests.system.replicas.consumers.slow import WORK
from tests.system.replicas.fleet import Fleet
from tests.waiting import until

pytestmark = pytest.mark.system
#: Seconds of killing; the issue's five minutes with TIDINGS_SECONDS=300.
SECONDS = float(os.environ.get("TIDINGS_SECONDS", "20"))
#: Seconds after which a due time that nobody was there for is missed.
GRACE = timedelta(seconds=10)
#: After the death of all: somewhere in the middle of what they miss.
A_WHILE = timedelta(seconds=6)
#: Seconds until everything has arrived that is under way: a dead relay's lease, a start on a busy machine.
DRAIN = 60.0
ALL = TICKING[0].name


@pytest.mark.timeout(SECONDS + 200)
def test_each_due_time_has_one_event_however_often_replicas_die(fleet: Fleet) -> None:
    seed = random.randrange(1_000_000)
    fleet.start()
    fleet.kill_at_random(SECONDS, random.Random(seed))
    fleet.start()
    upto = datetime.now(UTC)
    accounts = _settled(fleet, upto)
    sys.stderr.write(f"seed {seed}: {fleet.kills} kills, {_told(accounts)}\n")
    assert [] == accounts[ALL].unfired
    for one in accounts.values():
        assert ([], []) == (one.unexplained, one.too_many), (seed, one.schedule.name, one.gaps)
        assert len(one.unfired) == one.missed
        assert {due: due_id(one.schedule.name, due) for due in one.runs} == {
            due: run.event_id for due, run in one.runs.items()
        }
    _check_events(fleet)
    slow = account(fleet.database, SLOW.name, upto)
    assert all(after.fired_at - before.fired_at >= timedelta(seconds=WORK) for before, after in pairwise(slow.fired))
    assert [] == slow.unexplained


@pytest.mark.timeout(200)
def test_what_was_due_while_all_were_dead_is_told_of_and_found_once_by_whoever_comes_first(fleet: Fleet) -> None:
    told = 2 * len(TIMETABLE)  # that each fell silent, and that it recovered
    fleet.start()
    until(lambda: len(fleet.witnesses.runs()) > len(TIMETABLE), seconds=30, what="the first ticks of all")
    fleet.kill()
    died = datetime.now(UTC)
    until(lambda: len(_silent(fleet)) == len(TIMETABLE), seconds=60, what="the word that all are silent")
    fleet.start()
    until(lambda: len(fleet.witnesses.silences()) == told, seconds=60, what="the word that all have recovered")
    accounts = _settled(fleet, datetime.now(UTC))
    _check_events(fleet)
    assert [] == accounts[ALL].unfired
    for one in accounts.values():
        assert ([], len(one.unfired)) == (one.unexplained, one.missed)
        (gap,) = [gap for gap in one.gaps if gap.first_due_at <= died + A_WHILE <= gap.last_due_at]
        _check_policy(one, gap)
    assert told == len(fleet.witnesses.silences())


def _check_policy(one: Account, gap: ScheduleGap) -> None:
    """What of a gap was announced after all: everything, its last due time, or nothing but what is younger."""
    inside = [due for due in one.due if gap.first_due_at <= due <= gap.last_due_at]
    assert ("missed", one.schedule.missed, len(inside)) == (gap.reason, gap.policy, gap.due)
    fired = [due for due in inside if one.runs.get(due) in one.fired]
    assert {"all": inside, "latest": inside[-1:], "skip": []}[gap.policy] == fired
    assert {"missed"} >= {one.runs[due].kind for due in fired}
    assert gap.policy != "skip" or gap.found_at - inside[-1] > GRACE


def _settled(fleet: Fleet, upto: datetime) -> dict[str, Account]:
    """The accounts, when all that was due by then is decided and through, and the schedulers are dead again."""
    names = [schedule.name for schedule in TICKING]

    def accounts() -> dict[str, Account]:
        return {name: account(fleet.database, name, upto) for name in names}

    def is_through() -> bool:
        written = fleet.witnesses.journal()
        return all(
            len(one.unfired) == one.missed and all((run.event_id, journal.CONSUMER) in written for run in one.fired)
            for one in accounts().values()
        )

    until(is_through, seconds=DRAIN, what="the end of every tick")
    fleet.kill()
    return accounts()


def _silent(fleet: Fleet) -> list[str]:
    with fleet.database.reading() as session:
        return [row.name for row in schedules.page(session, schedules.Filter(state="silent"))]


def _check_events(fleet: Fleet) -> None:
    """Each event is once in the log and once at the consumer, and none is there that the ledger does not know.

    What a relay had published when it was killed may be at the consumer already, and in the outbox still. The outbox is
    read first: what another relay moves meanwhile is seen in one of the two.
    """
    runs, left = set(fleet.witnesses.runs()), fleet.witnesses.outbox()
    published, written = fleet.witnesses.published(), fleet.witnesses.journal()
    assert {1} == set(published.values()) == set(written.values())
    ours = {event for event, consumer in written if consumer == journal.CONSUMER}
    silences = set(fleet.witnesses.silences())
    assert ours <= {*published, *left}
    assert set(published) <= runs | silences
    assert set(runs) <= {*published, *left}


def _told(accounts: dict[str, Account]) -> str:
    return ", ".join(
        f"{one.schedule.name} {len(one.due)} due, {len(one.unfired)} missed in {len(one.gaps)} gaps"
        for one in accounts.values()
    )
