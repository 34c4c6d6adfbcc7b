"""What a pass of the cleaning walks through, by what is kept how long and by what has to stay at present."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from events.attributes import lowest_id
from infra.database import backfills, consumers, event_log, outdated, pauses, positions
from infra.database.letters import CLOSED
from infra.database.walks import Place, Values, Walk
from infra.retention import MARGIN, Retention, since

#: By how much the ids of our own events may be ahead of this machine's clock.
_AHEAD = timedelta(days=1)
#: How long what waits for a consumer that is gone has to wait.
_PATIENCE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Task:
    """One walk: where it begins, and what its statements are given."""

    walk: Walk
    first: Place
    values: Values


@dataclass(frozen=True, slots=True)
class Plan:
    """The walks in their order, and who keeps old events in the log."""

    tasks: list[Task]
    #: Consumers that have not settled all that is old enough to go.
    waits_for: list[str]


def draw(session: Session, retention: Retention, now: datetime, *, as_if_gone: bool = False) -> Plan:
    """Look at what is there; with `as_if_gone`, as if the events that may leave the log had left it already."""
    upto, waits_for = _of_log(session, since(now, retention.event_log))
    gone = upto if as_if_gone else 0
    parts = (
        _log(upto, since(now, retention.event_log)),
        _inbox(session, now, retention.inbox, gone),
        _dead_letters(since(now, retention.dead_letters), gone),
        _by_time(since(now, retention.activity), outdated.ACTIVITY),
        _runs(session, since(now, retention.schedule_runs)),
        _by_id(since(now, retention.schedule_runs), outdated.SCHEDULE_GAP),
        _by_time(since(now, retention.idempotency), outdated.IDEMPOTENCY),
        _by_id(since(now, retention.operations), outdated.OPERATION),
        _by_id(since(now, retention.audit), outdated.AUDIT),
        _jobs(since(now, retention.jobs), now if as_if_gone else outdated.FIRST_MOMENT),
        _of_nobody(session, now),
    )
    return Plan([task for part in parts for task in part], waits_for)


def _of_log(session: Session, old: datetime | None) -> tuple[int, list[str]]:
    """Up to which position the log may go, and whom it waits for; its newest event stays, as the place to count from.

    What is above a consumer's `scanned` was not looked at yet by the sweep, and a backfill may have more to send.
    """
    if old is None:
        return 0, []
    upto = min(event_log.position_at(session, old), event_log.last_position(session) - 1)
    recorded = consumers.everyone(session)
    past = backfills.needed(session)
    needed_from = {row.consumer: min(row.scanned, past.get(row.consumer, row.scanned)) for row in recorded}
    lowest = min(needed_from.values(), default=upto)
    return max(0, min(upto, lowest)), [name for name, position in needed_from.items() if position < upto]


def _log(upto: int, old: datetime | None) -> Iterator[Task]:
    if old is not None:
        yield Task(outdated.EVENT_LOG, (outdated.FIRST_POSITION,), {"upto": upto, "old": old})


def _inbox(session: Session, now: datetime, kept: timedelta, gone: int) -> Iterator[Task]:
    old = since(now, kept)
    if old is not None:
        values = {"old": old, "gone": gone, "behind": _behind(session, now, old + MARGIN)}
        yield Task(outdated.INBOX, (outdated.FIRST_ID,), {**values, "below": lowest_id(old)})
        yield Task(outdated.INBOX_FOREIGN, (lowest_id(now + _AHEAD),), values)


def _behind(session: Session, now: datetime, moment: datetime) -> list[str]:
    """Consumers that have not come past this moment, so that second copies of older events may wait in their queues."""
    late = {name for name, each in positions.standing(session).items() if now - _age(each.lag_seconds) < moment}
    return sorted(late | {name for name, pause in pauses.paused(session).items() if pause.since < moment})


def _age(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def _dead_letters(old: datetime | None, gone: int) -> Iterator[Task]:
    if old is not None:
        values = {"old": old, "gone": gone, "below": lowest_id(old)}
        yield from (Task(outdated.DEAD_LETTER, (outdated.FIRST_ID,), {**values, "state": state}) for state in CLOSED)


def _runs(session: Session, old: datetime | None) -> Iterator[Task]:
    for name in outdated.schedules(session) if old is not None else ():
        kept = sorted(outdated.kept_runs(session, name))
        yield Task(outdated.SCHEDULE_RUN, (outdated.FIRST_MOMENT,), {"old": old, "schedule": name, "kept": kept})


def _by_time(old: datetime | None, walk: Walk) -> Iterator[Task]:
    if old is not None:
        yield Task(walk, (outdated.FIRST_MOMENT, outdated.FIRST_ID), {"old": old})


def _by_id(old: datetime | None, walk: Walk) -> Iterator[Task]:
    if old is not None:
        yield Task(walk, (outdated.FIRST_ID,), {"old": old, "below": lowest_id(old)})


def _jobs(old: datetime | None, expired: datetime) -> Iterator[Task]:
    if old is not None:
        yield Task(outdated.JOB, (outdated.FIRST_ID,), {"old": old, "below": lowest_id(old), "expired": expired})


def _of_nobody(session: Session, now: datetime) -> Iterator[Task]:
    for name in outdated.gone_consumers(session):
        yield Task(outdated.UNSETTLED, (outdated.FIRST_POSITION,), {"consumer": name})
    yield Task(outdated.RESEND, (outdated.FIRST_POSITION,), {"old": now - _PATIENCE})
