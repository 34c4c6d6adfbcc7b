"""The whole engine by the real clock: alarms, the table, orders, and what a stopped or blocked process misses."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from queue import SimpleQueue

import pytest

from infra.database import schedule_runs, schedules
from infra.database.engine import Database
from infra.database.schedule_runs import MANUAL
from infra.database.schedules import Definition
from infra.errors import DatabaseUnavailable
from infra.schedules.triggers import Every
from scheduler import alarm, deciding, wake_ups
from scheduler.emitter import emit
from tests.scheduler.replicas import announced, running, runs, soon, ticking

#: Seconds for what takes two at most, on a machine that others keep busy.
BUSY = 6.0


def dues(database: Database) -> list[datetime]:
    return [envelope.time for envelope in announced(database)]


def consecutive(times: list[datetime]) -> bool:
    return all(later - earlier == timedelta(seconds=1) for earlier, later in pairwise(times))


def test_a_running_engine_announces_each_due_time_once_beside_another(database: Database) -> None:
    async def main() -> None:
        async with running(database, ticking()), running(database, ticking()):
            await soon(lambda: len(dues(database)) >= 3)

    asyncio.run(main())
    assert consecutive(dues(database))
    assert all(due.microsecond == 0 for due in dues(database))


def test_a_loop_that_was_blocked_drops_no_fire(sqlite_database: Database) -> None:
    """APScheduler with misfire_grace_time=1 drops a fire after a loop was blocked for 2 s."""

    async def main() -> None:
        async with running(sqlite_database, ticking()):
            await soon(lambda: len(dues(sqlite_database)) >= 1)
            time.sleep(2.5)  # noqa: ASYNC251  # the rule under test
            await soon(lambda: len(dues(sqlite_database)) >= 4)

    asyncio.run(main())
    assert consecutive(dues(sqlite_database))


def test_a_fire_waits_for_a_database_that_is_away(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = iter([True, True, True])

    def sometimes(*arguments: object) -> object:
        if next(refusals, False):
            raise DatabaseUnavailable("away")
        return emit(*arguments)  # type: ignore[arg-type]

    async def main() -> None:
        async with running(sqlite_database, ticking()) as engine:
            await soon(lambda: "clock" in engine.problems)
            await soon(lambda: len(dues(sqlite_database)) >= 2)
            await soon(lambda: engine.problems == {})

    monkeypatch.setattr(deciding, "emit", sometimes)
    asyncio.run(main())
    assert consecutive(dues(sqlite_database))


def test_a_pause_holds_at_once_in_every_replica_and_a_resume_within_two_seconds(database: Database) -> None:
    async def main() -> None:
        async with running(database, ticking()), running(database, ticking()):
            await soon(lambda: len(dues(database)) >= 1)
            await asyncio.to_thread(database.run, lambda session: schedules.pause(session, "tick", "ada", "why"))
            paused, before = time.monotonic(), dues(database)
            await soon(lambda: time.monotonic() - paused > 2.5)
            assert before == dues(database)
            await asyncio.to_thread(database.run, lambda session: schedules.resume(session, "tick"))
            resumed = datetime.now(UTC)
            await soon(lambda: len(dues(database)) > len(before))
            assert datetime.now(UTC) - resumed < timedelta(seconds=BUSY)

    asyncio.run(main())


def test_a_schedule_that_an_operator_adds_fires_and_is_gone_when_it_is_removed(sqlite_database: Database) -> None:
    data = {"due_at": "2026-11-22T09:30:00Z"}
    wanted = Definition(name="mine", trigger={"every": "1s"}, type="heartbeat.ticked", data=data)

    async def main() -> None:
        async with running(sqlite_database) as engine:
            await asyncio.to_thread(sqlite_database.run, lambda session: schedules.add(session, wanted))
            await soon(lambda: len(dues(sqlite_database)) >= 2)
            await asyncio.to_thread(sqlite_database.run, lambda session: schedules.remove(session, "mine"))
            await soon(lambda: not engine._following.lines)
            assert {} == engine.notes

    asyncio.run(main())
    assert {datetime(2026, 11, 22, 9, 30, tzinfo=UTC)} == {
        getattr(each.data, "due_at", None) for each in announced(sqlite_database)
    }


def test_a_schedule_that_cannot_run_is_noted_and_keeps_no_other_from_firing(sqlite_database: Database) -> None:
    unknown = Definition(name="unknown", trigger={"every": "1s"}, type="never.heard")
    misfit = Definition(name="misfit", trigger={"every": "1s"}, type="heartbeat.ticked", data={"due_at": "secret"})
    newer = Definition(name="newer", trigger={"moon": "full"}, type="heartbeat.ticked", data={})
    for each in (unknown, misfit, newer):
        sqlite_database.run(lambda session, each=each: schedules.add(session, each))  # type: ignore[misc]

    async def main() -> None:
        async with running(sqlite_database, ticking()) as engine:
            await soon(lambda: len(dues(sqlite_database)) >= 1)
            assert {"schedule unknown", "schedule misfit", "schedule newer"} == set(engine.notes)
            assert "secret" not in str(engine.notes)
            assert {} == engine.problems

    asyncio.run(main())


def test_a_manual_run_is_announced_within_two_seconds_though_the_schedule_is_paused(database: Database) -> None:
    async def main() -> None:
        async with running(database, ticking()):
            await asyncio.to_thread(database.run, lambda session: schedules.pause(session, "tick", "ada", "why"))
            before, now = len(dues(database)), datetime.now(UTC)
            await asyncio.to_thread(
                database.run, lambda session: schedule_runs.order(session, "tick", [now], MANUAL, note="ada: try")
            )
            await soon(lambda: len(dues(database)) > before, BUSY)
            assert now == dues(database)[-1]

    asyncio.run(main())
    (run,) = [run for run in runs(database) if run.kind == MANUAL]
    assert ("fired", "ada: try") == (run.state, run.note)


def test_a_clock_that_is_stepped_is_followed_within_two_seconds(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alarm sleeps by the monotonic clock; a step forward must not wait for it, nor one back leave it asleep."""
    hour = timedelta(hours=1)
    step = [timedelta()]

    async def main() -> None:
        async with running(sqlite_database, ticking()) as engine:
            monkeypatch.setattr(engine, "_clock", lambda: datetime.now(UTC) + step[0])
            monkeypatch.setattr(engine._catching_up, "_clock", lambda: datetime.now(UTC) + step[0])
            for step[0] in (hour, timedelta()):
                before, stepped = len(dues(sqlite_database)), datetime.now(UTC)
                await soon(lambda before=before: len(dues(sqlite_database)) > before + 1, BUSY)  # type: ignore[misc]
                assert dues(sqlite_database)[-1] - stepped - step[0] < timedelta(seconds=BUSY)

    asyncio.run(main())
    assert len(set(dues(sqlite_database))) == len(dues(sqlite_database))


def test_an_engine_whose_own_wait_does_not_end_looks_all_the_same(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some Pythons wait by the wall clock: when it is set back an hour, they wait an hour more."""

    class Waiting(SimpleQueue[object]):
        def get(self, block: bool = True, timeout: float | None = None) -> object:
            return super().get(block)

    monkeypatch.setattr(wake_ups, "SimpleQueue", Waiting)
    monkeypatch.setattr(alarm, "_AT_LEAST_EVERY", 0.2)

    async def main() -> None:
        async with running(sqlite_database, ticking(trigger=Every(every="366d"))):
            now = datetime.now(UTC)
            await asyncio.to_thread(
                sqlite_database.run, lambda session: schedule_runs.order(session, "tick", [now], MANUAL)
            )
            await soon(lambda: now in dues(sqlite_database))

    asyncio.run(main())
