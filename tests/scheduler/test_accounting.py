"""Replicas that look, start again and have their clock stepped, in any order: each due time is accounted for once."""

from datetime import timedelta
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from infra.database.engine import Database
from infra.database.schedule_runs import FIRED
from infra.database.tables import Outbox, table
from infra.schedules.triggers import Cron, Every
from tests.ledger import Account, account
from tests.scheduler.replicas import START, Replica, declare, ticking

_OUTBOX = table(Outbox)
_names = count()
#: Seconds that pass, or by which the clock is stepped (and nobody is told).
_short, _long = st.floats(0.01, 4), st.floats(5, 400)
_actions = st.lists(
    st.tuples(st.just("pass"), _short | _long)
    | st.tuples(st.just("step"), _short | _long | (_short | _long).map(lambda seconds: -seconds))
    | st.tuples(st.sampled_from(["look", "restart"]), st.integers(0, 1)),
    min_size=5,
    max_size=30,
)
_triggers = st.sampled_from([Every(every="1s"), Every(every="2.5s"), Cron(cron="*/7 * * * * *"), Every(every="1m")])


class World:
    """Two replicas on one machine, whose wall clock anybody may step."""

    def __init__(self, database: Database, **changes: object) -> None:
        self._database = database
        self.schedule = ticking(f"tick-{next(_names)}", **changes)
        declare(database, self.schedule)
        self._wall, self._monotonic = 0.0, 0.0
        #: Each with what it found between the two clocks at its last look.
        self._replicas = [(self._started(), 0.0), (self._started(), 0.0)]

    def do(self, action: str, value: float) -> None:
        """One of the actions above."""
        if action in {"pass", "step"}:
            self._wall = max(self._wall + value, 0.0)
            self._monotonic += value if action == "pass" else 0.0
        elif action == "restart":
            self._replicas[int(value)] = (self._started(), self._wall - self._monotonic)
        else:
            self.look(int(value))

    def look(self, number: int) -> None:
        """What an engine does each second."""
        replica, offset = self._replicas[number]
        if abs(self._wall - self._monotonic - offset) > 0.5:
            replica.following.forget()
        replica.at(self._wall)
        self._replicas[number] = (replica, self._wall - self._monotonic)

    def check(self) -> None:
        """After a last look everything up to now is in the ledger or in a gap, and each event is there once."""
        self.look(0)
        found = self._account()
        assert ([], []) == (found.unexplained, found.too_many)
        later = account(self._database, self.schedule.name, START + timedelta(days=1))
        assert [] == later.too_many
        fired = {run.event_id for run in later.runs.values() if run.state == FIRED}
        query = select(_OUTBOX.c.event_id).where(_OUTBOX.c.event_id.in_(run.event_id for run in later.runs.values()))
        with self._database.reading() as session:
            assert sorted(fired) == sorted(session.connection().execute(query).scalars())

    def check_that_it_goes_on(self) -> None:
        """What is due in the next minute is decided at its time, wherever the clock was before."""
        before = self._account()
        for _ in range(8):
            self.do("pass", 8)
            self.look(1)
        found = self._account()
        assert (len(before.gaps), []) == (len(found.gaps), found.unexplained)

    def _account(self) -> Account:
        return account(self._database, self.schedule.name, START + timedelta(seconds=self._wall))

    def _started(self) -> Replica:
        replica = Replica(self._database, self.schedule)
        replica.at(getattr(self, "_wall", 0.0))
        return replica


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_actions, _triggers, st.sampled_from(["skip", "latest", "all"]), st.integers(1, 20))
def test_whatever_happens_each_due_time_is_announced_once_or_lies_in_a_gap(
    sqlite_database: Database, actions: list[tuple[str, float]], trigger: Every | Cron, missed: str, limit: int
) -> None:
    world = World(sqlite_database, trigger=trigger, missed=missed, missed_limit=limit)
    for action, value in actions:
        world.do(action, value)
    world.check()
    world.check_that_it_goes_on()
