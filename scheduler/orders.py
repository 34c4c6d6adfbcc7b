"""What operators order: runs of now, and due times of the past.

Any replica fires them, whether the schedule is paused or not, and the operation of a backfill tells how far it is.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlmodel import Session

from events.envelope import encode
from infra.database import operations, schedule_runs, schedules
from infra.database.engine import Database
from infra.database.recovery_tables import Operation
from infra.database.tables import ScheduleRun
from infra.faults import failpoint
from infra.jobs import timed
from scheduler.emitter import add, tell
from scheduler.following import Following
from scheduler.lines import metric_label
from scheduler.ticks import Tick, why_failed

#: Orders that are fired in one look, so that the schedules' own due times need not wait for long.
MOST = 100
#: How often an operation in which nothing happens says that it is worked on.
_SIGN_OF_LIFE = timedelta(seconds=5)


@dataclass(slots=True)
class _Outcome:
    """What became of some orders."""

    fired: list[Tick] = field(default_factory=list)
    #: By operation.
    sent: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


class Orders:
    """Everything that counts is in the tables."""

    def __init__(self, database: Database, following: Following) -> None:
        self._database = database
        self._following = following

    def look(self) -> None:
        """Fire some of what is ordered, and bring the operations up to date.

        Raises:
            DatabaseUnavailable: the next look does it.
        """
        with self._database.reading() as session:
            waiting = schedule_runs.orders(session, 1)
            backfills = operations.open_ids(session, operations.BACKFILL)
        for operation_id in backfills:  # first, as one that was stopped while no scheduler ran announces nothing more
            with self._database.transaction() as session:
                _settle(session, operation_id)
        if waiting:
            with self._database.transaction() as session:
                fired = self._fire(session)
            tell(fired)

    def _fire(self, session: Session) -> list[Tick]:
        outcome = _Outcome()
        for run in schedule_runs.orders(session, MOST, lock=True):
            self._decide(session, run, outcome)
        add(session, outcome.fired)
        for operation_id in sorted(outcome.sent | outcome.failed):
            _count(session, operation_id, outcome.sent[operation_id], outcome.failed[operation_id])
        return outcome.fired

    def _decide(self, session: Session, run: ScheduleRun, outcome: _Outcome) -> None:
        found = self._admitted(session, run)
        if found is None:
            return
        operation_id = run.operation_id or ""
        if isinstance(found, str):
            schedule_runs.cancel_order(session, run.schedule, run.due_at, found)
            outcome.failed[operation_id] += 1
        elif schedule_runs.take_order(session, run.schedule, run.due_at):
            outcome.fired.append(found)
            outcome.sent[operation_id] += 1

    def _admitted(self, session: Session, run: ScheduleRun) -> Tick | str | None:
        """The same as `_tick`, with the job written down: one by one, as each may be in the way of the next."""
        found = self._tick(session, run)
        if not isinstance(found, Tick):
            return found
        failpoint("scheduler.before-insert", run.schedule)
        return timed.admit(session, found.event, found.event_id, run.schedule) or found

    def _tick(self, session: Session, run: ScheduleRun) -> Tick | str | None:
        """What is announced, or why nothing can be; None: another replica knows how, or this one will soon."""
        row = schedules.find(session, run.schedule)
        if row is None:
            return "The schedule was removed."
        if row.retired_at is not None:
            return "The schedule is retired: the code does not have it any more."
        announce = self._following.announcing.get(row.name)
        if announce is None:
            return self._following.problems.get(row.name)
        try:
            event = announce(run.due_at)
            tick = Tick(schedule=row.name, due=run.due_at, kind=run.kind, event=event, label=metric_label(row))
            encode(tick.envelope)  # one that is too large must not keep the others waiting
        except Exception as error:  # noqa: BLE001  # whatever the schedule's function raises
            return why_failed(error)
        return timed.hindrance(session, event) or tick


def _count(session: Session, operation_id: str, sent: int, failed: int) -> None:
    operation = operations.find(session, operation_id, lock=True) if operation_id else None
    if operation is not None and operation.state in operations.OPEN:
        operation.sent += sent
        operation.handled += sent
        operation.failed += failed
        _judge(session, operation)
        operations.write(session, operation)


def _settle(session: Session, operation_id: str) -> None:
    """End it if it was asked to stop or has nothing left, and give a sign of life."""
    operation = operations.find(session, operation_id)
    if operation is None or operation.state not in operations.OPEN:
        return
    # The orders first, as whoever fires them does it: or one of two replicas would wait for the other in a circle.
    if operation.state == "stopping":
        schedule_runs.cancel_orders(session, operation_id)
    operation = operations.find(session, operation_id, lock=True)
    if operation is None or operation.state not in operations.OPEN:
        return
    before = operation.model_dump()
    if operation.state == "stopping":
        operation.state = "stopped"
        given_up = operation.total - operation.sent
        operation.message = f"stopped by an operator; {operation.sent} announced, {given_up} given up"
    else:
        _judge(session, operation)
    if operation.model_dump() != before or datetime.now(UTC) - operation.updated_at > _SIGN_OF_LIFE:
        operations.write(session, operation)


def _judge(session: Session, operation: Operation) -> None:
    """Say where it stands, and end it when no order is left."""
    if operation.state == "stopping":
        return
    left = schedule_runs.orders_left(session, operation.id)
    operation.message = f"{left} to be announced"
    if not left:
        operation.state = "done"
        failed = f", {operation.failed} could not be" if operation.failed else ""
        operation.message = f"{operation.sent} announced{failed}"
