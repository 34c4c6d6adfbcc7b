"""Which part of the log a backfill sends to a consumer, looked at beforehand, and how it is begun."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlmodel import Session

from events.envelope import event_types
from infra.backfilling.views import BackfillView
from infra.database import audit, backfills, consumers, contents, event_log, operations
from infra.database.consumer_tables import Backfill
from infra.database.contents import OfType
from infra.database.engine import Database
from infra.database.recovery_tables import Operation
from infra.errors import NotPossible
from infra.fitting import DoesNotFit
from infra.recovery.resuming import require_free, require_present
from infra.subscriptions import EVERY_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for."""

    consumer: str
    #: Events that were published at this moment or later …
    since: datetime
    #: … and before this one; None: up to where the consumer's live events begin.
    until: datetime | None = None
    #: Event types; none for all that the consumer takes.
    types: Sequence[str] = ()
    #: Events per second at most; None: as fast as they are handled.
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a backfill is to send; looked at beforehand, as that may take a moment."""

    wanted: Wanted
    #: The part of the log: after this position, and up to this one.
    after: int
    until: int
    found: Sequence[OfType]

    @property
    def to_send(self) -> int:
        """Events that are not settled."""
        return sum(each.count - each.settled for each in self.found)

    @property
    def view(self) -> BackfillView:
        """The plan in figures."""
        rate = self.wanted.rate
        return BackfillView(
            would_send=self.to_send,
            already_settled=sum(each.settled for each in self.found),
            by_type={each.type: each.count for each in self.found},
            first=min((each.first for each in self.found), default=None),
            last=max((each.last for each in self.found), default=None),
            seconds=None if rate is None else round(self.to_send / rate, 1),
        )


def plan(database: Database, wanted: Wanted) -> Plan:
    """Look what there is to send; changes nothing.

    Raises:
        NotKnown: no consumer of this name is recorded.
        NotPossible: it is retiring, or a kind of jobs.
        DoesNotFit: the range goes backward or into the future, or it does not take a type.
    """
    with database.reading() as session:
        recorded = next((row for row in consumers.everyone(session) if row.consumer == wanted.consumer), None)
        row = require_present(recorded)
        if row.options.get("job"):
            raise NotPossible(f"{row.consumer} is a kind of jobs: those of the past have been done; ask for new ones.")
        taken = row.types
        _check(wanted, taken)
        after = event_log.position_at(session, wanted.since)
        last = event_log.last_position(session)
        until = last if wanted.until is None else event_log.position_at(session, wanted.until)
        found = contents.look(session, wanted.consumer, wanted.types or taken, after, until)
    _check_known(wanted, {each.type for each in found})
    return Plan(wanted, after, until, found)


def start(session: Session, planned: Plan, *, who: str, why: str) -> Operation:
    """Begin what is planned: the relay sends it, from the commit on.

    Raises:
        NotKnown: the consumer is gone since.
        NotPossible: it is retiring, or a backfill of it runs already.
    """
    wanted = planned.wanted
    require_free(session, wanted.consumer)
    request = {
        "consumer": wanted.consumer,
        "since": wanted.since.isoformat(),
        "until": wanted.until and wanted.until.isoformat(),
        "types": list(wanted.types),
        "rate": wanted.rate,
    }
    is_open = wanted.until is None
    operation_id, total = operations.new_id(), planned.to_send
    operation = operations.add(
        session, operations.PAST, request, operation_id=operation_id, total=total, may_grow=is_open
    )
    if operation.state == "running":
        backfills.add(session, _row(operation_id, planned, joined=not is_open))
    details = {"operation": operation_id, "total": total, **request}
    audit.write(session, who=who, action="consumer.backfill", target=wanted.consumer, why=why, details=details)
    return operation


def _row(operation_id: str, planned: Plan, *, joined: bool) -> Backfill:
    wanted = planned.wanted
    return Backfill(
        operation_id=operation_id,
        consumer=wanted.consumer,
        types=list(wanted.types),
        after=planned.after,
        until=planned.until,
        joined=joined,
        sent=planned.after,
        settled=planned.after,
        rate=wanted.rate,
    )


def _check(wanted: Wanted, taken: Sequence[str]) -> None:
    now = datetime.now(UTC)
    if wanted.since >= now:
        raise _wrong("since", "in the future", "It must be in the past.")
    if wanted.until is not None and wanted.until > now:
        raise _wrong("until", "in the future", "It must not be in the future: leave it out for all up to now.")
    if wanted.until is not None and wanted.until <= wanted.since:
        raise _wrong("until", "not later than since", "It must be later than since.")
    foreign = [each for each in wanted.types if EVERY_TYPE not in taken and each not in taken]
    if foreign:
        raise _wrong("types", f"{wanted.consumer} takes no {foreign[0]}", f"It takes {', '.join(taken)}.")


def _check_known(wanted: Wanted, found: Collection[str]) -> None:
    """A consumer of everything takes any type: one that is neither in the code nor in the log is a slip of the pen."""
    if unknown := [each for each in wanted.types if each not in found and each not in {*event_types(), EVERY_TYPE}]:
        raise _wrong("types", f"nobody knows {unknown[0]}", "Neither this program nor the log has such events.")


def _wrong(field: str, kind: str, text: str) -> DoesNotFit:
    return DoesNotFit([((field,), kind, text)])
