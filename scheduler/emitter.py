"""From a due time to the outbox: each is decided once, however many schedulers see it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlmodel import Session

from events.jobs import JobRequested
from infra import metrics
from infra.database import outbox, schedule_runs, schedules
from infra.faults import failpoint
from infra.jobs import timed
from scheduler.ticks import Tick

#: Overlap policy: a due time is left out while something hinders it.
SKIP = "skip"
#: Says why a due time of a schedule may not fire yet; None: nothing is in the way.
Hindrance = Callable[[Session, str, datetime], str | None]


def emit(session: Session, ticks: Sequence[Tick], hindrance: Hindrance) -> list[Tick]:
    """Decide these due times in the caller's transaction; gives those that no other replica had decided."""
    careful = [tick for tick in ticks if _may_be_left_out(tick)]
    if careful:  # one after the other they would be locked in another order by another replica
        schedules.hold(session, {tick.schedule for tick in ticks})
    decided = _emit(session, [tick for tick in ticks if tick not in careful] if careful else ticks)
    for tick in careful:  # one by one: each may be in the way of the next
        why = hindrance(session, tick.schedule, tick.due) if tick.overlap == SKIP else None
        if why is None and tick.event is not None:
            why = timed.hindrance(session, tick.event)
        decided += _emit(session, [tick if why is None else replace(tick, event=None, note=why)])
    return decided


def add(session: Session, ticks: Iterable[Tick]) -> None:
    """Announce due times that are decided, and whose jobs are written down, in the order of their time."""
    fired = sorted((tick for tick in ticks if tick.event is not None), key=lambda tick: (tick.due, tick.schedule))
    outbox.add_all(session, [(tick.envelope, None) for tick in fired])
    for tick in fired:
        failpoint("scheduler.after-insert", tick.schedule)


def tell(ticks: Iterable[Tick]) -> None:
    """Count what was decided, after the commit."""
    now = datetime.now(UTC)
    for tick in ticks:
        if tick.event is None:
            metrics.SCHEDULE_SKIPPED.labels(tick.label).inc()
            continue
        failpoint("scheduler.after-commit", tick.schedule)
        metrics.EVENTS_ACCEPTED.labels(tick.event.TYPE).inc()
        metrics.SCHEDULE_FIRED.labels(tick.label, tick.kind).inc()
        if tick.kind == schedule_runs.DUE:
            metrics.SCHEDULE_LATENESS.observe((now - tick.due).total_seconds())


def _emit(session: Session, ticks: Sequence[Tick]) -> list[Tick]:
    for tick in ticks:
        failpoint("scheduler.before-insert", tick.schedule)
    ours = schedule_runs.claim(session, [tick.claim for tick in ticks]) if ticks else ()
    decided = [_admitted(session, tick) for tick in ticks if (tick.schedule, tick.due) in ours]
    add(session, decided)
    return decided


def _admitted(session: Session, tick: Tick) -> Tick:
    """With its job written down, or left out after all: somebody else may have asked for the same meanwhile."""
    why = timed.admit(session, tick.event, tick.event_id, tick.schedule)
    if why is None:
        return tick
    schedule_runs.leave_out(session, tick.schedule, tick.due, why)
    return replace(tick, event=None, note=why)


def _may_be_left_out(tick: Tick) -> bool:
    """Whether what became of another one may be in its way."""
    return tick.event is not None and (tick.overlap == SKIP or isinstance(tick.event, JobRequested))
