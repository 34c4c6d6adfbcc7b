"""A scheduler whose wall clock is stepped, passes a change of local time, or stands still: nothing twice, all told."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from events.clock import HeartbeatTicked
from infra.database.engine import Database, connect
from infra.database.schedule_runs import DUE, FIRED, MISSED
from infra.database.schedule_tables import ScheduleGap
from infra.database.tables import EventLog, Outbox, ScheduleRun, table
from infra.local.install import ensure_faketime
from tests import clocks, relays
from tests.clocks import Clock
from tests.ledger import Account, account
from tests.waiting import until

pytestmark = pytest.mark.system
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
#: What each policy announces of a long gap.
AFTER_ALL = {"skip": 0, "latest": 1, "all": 5}
TICKING = [clocks.of_an_operator(policy, {"every": "1s"}, missed=policy, missed_limit=5) for policy in AFTER_ALL]
#: No broker is there; what is announced stays in the outbox.
NOWHERE = "amqp://guest:guest@127.0.0.1:1/none"
#: Seconds in which a scheduler must have noticed, on a machine that is busy with other tests.
SOON = 60
#: Seconds after which a due time counts as missed.
GRACE = 10


@pytest.fixture(scope="session", autouse=True)
def _faketime(pytestconfig: pytest.Config) -> None:
    ensure_faketime(pytestconfig.get_terminal_writer().line)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """URL of a fresh database."""
    return str(request.getfixturevalue(getattr(request, "param", "sqlite_url")))


@pytest.fixture
def ledger(url: str) -> Iterator[Database]:
    database = connect(url)
    yield database
    database.close()


def fired(ledger: Database, name: str) -> list[datetime]:
    """The due times that were announced."""
    run = table(ScheduleRun)
    query = select(run.c.due_at).where(run.c.schedule == name, run.c.state == FIRED).order_by(run.c.due_at)
    with ledger.reading() as session:
        return [*session.connection().execute(query).scalars()]


def await_ticks(ledger: Database, clock: Clock) -> datetime:
    """Wait until each schedule announces what is due from now on, and give the moment up to which all is decided."""
    now = clock.now

    def newest() -> list[datetime]:
        """Of each schedule that has one, the last of its new due times."""
        some = ([due for due in fired(ledger, name) if now < due < now + SOON * SECOND] for name in AFTER_ALL)
        return [max(each) for each in some if each]

    until(lambda: len(newest()) == len(AFTER_ALL), seconds=SOON, what=f"ticks after {now}")
    return min(newest())


def announced(ledger: Database) -> Counter[str]:
    """How often each event waits in the outbox, or was published."""
    with ledger.reading() as session:
        ids = (select(table(Outbox).c.event_id), select(table(EventLog).c.event_id))
        return Counter(each for query in ids for each in session.connection().execute(query).scalars())


def check(ledger: Database, upto: datetime, leap: timedelta = HOUR) -> dict[str, Account]:
    """Nothing twice, nothing untold, and of each how late it was; gives what there is of each schedule.

    What was being written while the clock was stepped is so much later, or earlier.
    """
    found = {name: account(ledger, name, upto) for name in AFTER_ALL}
    events = announced(ledger)
    assert {1} == set(events.values())
    for name, each in found.items():
        assert ([], []) == (each.unexplained, each.too_many), name
        late = [(run.fired_at - due) % leap for due, run in each.runs.items() if run.kind == DUE]
        assert max(late) < SOON * SECOND, name
    assert ids(found) <= events.keys()
    return found


def ids(found: dict[str, Account]) -> set[str]:
    """Of all events that were announced."""
    runs = [run for each in found.values() for run in each.runs.values()]
    return {run.event_id for run in runs if run.state == FIRED}


def long_gaps(each: Account) -> list[ScheduleGap]:
    """The gaps that a test made; those of a few seconds are a busy machine's."""
    return [gap for gap in each.gaps if gap.due > 60]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("url", ["sqlite_url", "postgres_url"], indirect=True)
def test_a_clock_that_is_set_an_hour_ahead_and_back_doubles_nothing(
    url: str, ledger: Database, clock: Clock, tmp_path: Path, vhost: str
) -> None:
    """The hour that was jumped over is missed, each policy does with it what it says, and all events are published.

    So they are when the one that was killed had the right to publish for an hour to come, by the clock of then.
    """
    relays.record(ledger, HeartbeatTicked.TYPE)
    clocks.add(ledger, TICKING, since=clock.now)
    with clocks.running(clock, tmp_path, DATABASE_URL=url, RABBITMQ_URL=vhost) as scheduler:
        await_ticks(ledger, clock)
        for by in (HOUR, -HOUR):
            clock.step(by)
            check(ledger, await_ticks(ledger, clock))
        scheduler.stop()
        clock.step(HOUR)
        scheduler.start()
        await_ticks(ledger, clock)
        scheduler.kill()
        clock.step(-HOUR)
        scheduler.start()
        found = check(ledger, await_ticks(ledger, clock))
        until(
            lambda: {log.event_id for log in relays.logged(ledger)} >= ids(found), what="the publishing of all of them"
        )
    for name, each in found.items():
        gap = long_gaps(each)[-1]
        assert (3580 < gap.due < 3660, AFTER_ALL[name]) == (True, gap.fired), gap


@pytest.mark.parametrize(
    "times",
    [
        # 02:30 is left out: the first moment after it is 03:00, at 01:00 UTC.
        (["2027-03-28T01:00Z", "2027-03-29T00:30Z"], ["2027-03-28T01:30Z", "2027-03-28T02:00Z"]),
        # 02:30 is shown at 00:30 and at 01:30 UTC.
        (["2027-10-31T00:30Z", "2027-11-01T01:30Z"], ["2027-10-31T01:00Z", "2027-10-31T01:30Z"]),
    ],
    ids=["spring", "autumn"],
)
def test_half_past_two_in_berlin_comes_once_where_the_clocks_are_changed(
    url: str, ledger: Database, clock: Clock, tmp_path: Path, times: tuple[list[str], list[str]]
) -> None:
    (first, second), passed = ([datetime.fromisoformat(time) for time in some] for some in times)
    clock.set(first - 5 * SECOND)
    names = ("daily", "cron")
    triggers = ({"daily": "02:30", "zone": "Europe/Berlin"}, {"cron": "30 2 * * *", "zone": "Europe/Berlin"})
    both = [clocks.of_an_operator(name, trigger) for name, trigger in zip(names, triggers, strict=True)]
    always = clocks.of_an_operator("always", {"cron": "*/30 * * * *", "zone": "Europe/Berlin"})
    clocks.add(ledger, [*both, always], since=clock.now)
    with clocks.running(clock, tmp_path, DATABASE_URL=url, RABBITMQ_URL=NOWHERE):
        assert [first] * 2 == [await_due(ledger, name, first) for name in names]
        for moment in passed:
            clock.set(moment - 2 * SECOND)
            await_due(ledger, "always", moment)
        clock.set(second - 2 * SECOND)
        assert [second] * 2 == [await_due(ledger, name, second) for name in names]
    assert [[first, second]] * 2 == [fired(ledger, name) for name in names]


def await_due(ledger: Database, name: str, due: datetime) -> datetime:
    """Wait until it is announced; gives the newest one then."""
    until(lambda: due in fired(ledger, name), seconds=2 * SOON, what=f"{name} at {due}")
    return fired(ledger, name)[-1]


@pytest.mark.parametrize("leap", [12 * SECOND, 10 * MINUTE], ids=["12 seconds", "10 minutes"])
def test_a_process_that_stood_still_goes_on_at_once_and_each_policy_does_what_it_says(
    url: str, ledger: Database, clock: Clock, tmp_path: Path, leap: timedelta
) -> None:
    """The 12 seconds are real: with them the monotonic clock went on, too."""
    clocks.add(ledger, TICKING, since=clock.now)
    with clocks.running(clock, tmp_path, DATABASE_URL=url, RABBITMQ_URL=NOWHERE) as scheduler:
        await_ticks(ledger, clock)
        scheduler.freeze()
        frozen = clock.now
        if leap > MINUTE:
            clock.step(leap)
        until(lambda: clock.now > frozen + leap, seconds=20)
        scheduler.go_on()
        found = check(ledger, await_ticks(ledger, clock), max(leap, MINUTE))
    for name, each in found.items():
        gap = max(each.gaps, key=lambda gap: gap.due)
        seconds = leap.total_seconds() - (GRACE if name == "skip" else 0)
        assert (seconds - 2 < gap.due < seconds + 15, AFTER_ALL[name]) == (True, gap.fired), gap
        made_up = [run for run in each.runs.values() if run.kind == MISSED and run.state == FIRED]
        assert gap.fired <= len(made_up)
        assert all(run.fired_at > run.due_at for run in made_up)
