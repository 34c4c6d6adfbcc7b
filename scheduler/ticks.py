"""A due time that is about to be decided, with its event or the reason why it has none."""

from dataclasses import dataclass
from datetime import datetime

from events.clock import due_id
from events.envelope import Envelope, Event, announce
from infra import evidence
from infra.database.schedule_runs import FIRED, SKIPPED, Claim
from scheduler.lines import Line, metric_label

SOURCE = "/scheduler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """As it will stand in the ledger, and in the outbox."""

    schedule: str
    due: datetime
    #: See `schedule_runs`.
    kind: str
    #: None: it is left out.
    event: Event | None
    #: Why it is left out.
    note: str | None = None
    overlap: str = "allow"
    #: For metrics.
    label: str = ""

    @property
    def event_id(self) -> str:
        """The same in every process."""
        return due_id(self.schedule, self.due)

    @property
    def claim(self) -> Claim:
        """As the ledger takes it."""
        state = SKIPPED if self.event is None else FIRED
        return Claim(
            schedule=self.schedule,
            due_at=self.due,
            event_id=self.event_id,
            kind=self.kind,
            state=state,
            note=self.note,
        )

    @property
    def envelope(self) -> Envelope:
        """The event as it is announced."""
        assert self.event is not None
        return announce(self.event, source=SOURCE, id=self.event_id, time=self.due)


def announcing(line: Line, due: datetime, kind: str) -> Tick:
    """A due time of a line with its event.

    Raises:
        Exception: the schedule's own function failed.
    """
    event, row = line.announce(due), line.row
    return Tick(schedule=row.name, due=due, kind=kind, event=event, overlap=row.overlap, label=metric_label(row))


def left_out(line: Line, due: datetime, kind: str, note: str) -> Tick:
    """A due time that is not announced, and why."""
    return Tick(schedule=line.name, due=due, kind=kind, event=None, note=note, label=metric_label(line.row))


def failed(line: Line, due: datetime, kind: str, error: Exception) -> Tick:
    """A due time that could not be announced."""
    return left_out(line, due, kind, why_failed(error))


def why_failed(error: Exception) -> str:
    """For the ledger: without the error's text, which may quote data."""
    found = evidence.gather(error, "scheduler")
    return f"It could not be announced: {found.exception}{f' at {found.frame}' if found.frame else ''}."
