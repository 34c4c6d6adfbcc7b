"""What is found of a component, what it means beside what was known, and when others are told.

A change is believed when it has been found for `patience` seconds, so that one lost connection is no news, nor one that
comes and goes. An outage that is over when it is learned of (while the broker is away nothing that looks can run) is
told at once, if it lasted for longer than that.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from events.health import HealthChanged
from infra.database import health
from infra.database.schedule_tables import Health
from infra.outages import Outage

HEARTBEAT = "heartbeat"
#: Seconds without a heartbeat that are too many, whatever the patience: three periods of the timetable's.
SILENCE = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look at a component gave."""

    component: str
    ok: bool
    #: One line for people, without addresses and secrets.
    detail: str
    #: The last outage that is known of, if it is over.
    outage: Outage | None = None
    #: When there was the last sign of it; None: now.
    seen_at: datetime | None = None


def note(session: Session, finding: Finding, now: datetime, *, patience: float) -> HealthChanged | None:
    """Write down what was found; gives the event to announce in the same transaction when the state has changed."""
    row = health.take(session, finding.component, now)
    change = _apply(row, finding, now, patience)
    row.detail, row.checked_at = finding.detail, max(finding.seen_at or now, row.checked_at)
    if change is not None and change.failing_since is not None:
        row.detail = f"{finding.detail}; {Outage(change.failing_since, change.since)}"
    health.write(session, row)
    return change


def _apply(row: Health, finding: Finding, now: datetime, patience: float) -> HealthChanged | None:
    if finding.ok == (row.state == "ok"):
        row.doubted_since = None
        return _told_late(row, finding, patience)
    row.doubted_since = min(row.doubted_since or now, now)
    if (now - row.doubted_since).total_seconds() < patience:
        return None
    failing_since = row.since if finding.ok else None
    row.state, row.since, row.doubted_since = "ok" if finding.ok else "failing", row.doubted_since, None
    return _changed(row, finding, failing_since)


def _told_late(row: Health, finding: Finding, patience: float) -> HealthChanged | None:
    """An outage that nobody has told of: one that began after what was told last, which others met a little longer."""
    outage = finding.outage
    if outage is None or not finding.ok or outage.since < row.since or outage.seconds < patience:
        return None
    row.since = outage.until
    return _changed(row, finding, outage.since)


def _changed(row: Health, finding: Finding, failing_since: datetime | None) -> HealthChanged:
    return HealthChanged(
        component=row.component,
        state="ok" if finding.ok else "failing",
        since=row.since,
        detail=finding.detail,
        failing_since=failing_since,
    )
