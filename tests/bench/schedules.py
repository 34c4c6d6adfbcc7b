"""How late hundreds of schedules of 1 s to 1 min are, and what they cost one scheduler."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from statistics import median

from sqlalchemy import func, select

from infra.database.engine import Database, connect
from infra.database.migrations import migrate
from infra.database.tables import EventLog, ScheduleRun, table
from tests.bench.clock import timetable
from tests.bench.figures import percentile
from tests.bench.program import Program, busy_seconds, run
from tests.bench.sides import Place
from tests.waiting import until

_RUN, _LOG = table(ScheduleRun), table(EventLog)
#: Seconds after the start that are not measured.
_WARM_UP = 5.0


def measure(place: Place, schedules: int, seconds: float = 60.0) -> Sequence[str]:
    """Let a scheduler work off so many schedules, and say in a few lines how it did."""
    environment = _environment(place)
    migrate(place.database)
    run(["consumers", "declare"], environment, place.folder / "declare.log")
    database = connect(place.database)
    scheduler = Program(["tests.bench.clock", str(schedules)], environment, place.folder / "scheduler.log")
    try:
        until(lambda: _count(database) > 0, seconds=40, what=f"the first tick ({scheduler.log})")
        _wait(_WARM_UP)
        since, cpu, busy = datetime.now(UTC), scheduler.cpu(), busy_seconds()
        _wait(seconds)
        scheduler.must_run()
        upto, cpu, busy = datetime.now(UTC), scheduler.cpu() - cpu, busy_seconds() - busy
        _wait(1.0)
        return [*_figures(database, since, upto, schedules), _use(cpu, busy, seconds)]
    finally:
        scheduler.stop()
        database.close()


def _environment(place: Place) -> Mapping[str, str]:
    return {
        "TIDINGS_DATABASE_URL": place.database,
        "TIDINGS_RABBITMQ_URL": place.amqp,
        "TIDINGS_SMTP_URL": place.smtp,
        "TIDINGS_PROBE_PORT": str(place.probe_port),
        "TIDINGS_STATE_DIR": str(place.folder),
        "TIDINGS_LOG_FORMAT": "json",
    }


def _figures(database: Database, since: datetime, upto: datetime, schedules: int) -> Sequence[str]:
    fired = select(_RUN.c.schedule, _RUN.c.due_at, _RUN.c.fired_at, _LOG.c.published_at).join_from(
        _RUN, _LOG, _RUN.c.event_id == _LOG.c.event_id
    )
    with database.reading() as session:
        rows = session.connection().execute(fired.where(_RUN.c.due_at > since, _RUN.c.due_at <= upto)).all()
    wanted = {(each.name, due) for each in timetable(schedules) for due in each.trigger.between(since, upto)}
    late = sorted((row.fired_at - row.due_at).total_seconds() for row in rows)
    on_the_bus = sorted((row.published_at - row.fired_at).total_seconds() for row in rows)
    missing = wanted - {(row.schedule, row.due_at) for row in rows}
    return [
        f"{len(rows)} due times of {len(wanted)}, {len(missing)} missing",
        (
            f"late: median {median(late) * 1000:.1f} ms, p99 {percentile(late, 0.99) * 1000:.1f} ms, "
            f"most {late[-1] * 1000:.1f} ms"
        ),
        (
            f"from there to the bus: median {median(on_the_bus) * 1000:.1f} ms, "
            f"p99 {percentile(on_the_bus, 0.99) * 1000:.1f} ms"
        ),
    ]


def _use(cpu: float, busy: float, seconds: float) -> str:
    others = (busy - cpu) / seconds
    return f"CPU {cpu / seconds:.1%} of a core, its relay included; all others took {others:.1%} of a core meanwhile"


def _count(database: Database) -> int:
    with database.reading() as session:
        return int(session.connection().execute(select(func.count()).select_from(_RUN)).scalar_one())


def _wait(seconds: float) -> None:
    """The time itself is what is measured."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, seconds=seconds + 5)
