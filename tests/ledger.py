"""What the ledger of due times has, beside what the triggers say that it must have."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from infra.database import schedule_gaps, schedules
from infra.database.engine import Database
from infra.database.schedule_runs import FIRED
from infra.database.schedule_tables import Schedule, ScheduleGap
from infra.database.tables import ScheduleRun, table
from infra.schedules import triggers

_RUN = table(ScheduleRun)


@dataclass(frozen=True, slots=True)
class Account:
    """One schedule up to some moment."""

    schedule: Schedule
    #: What the trigger says.
    due: Sequence[datetime]
    #: Due time -> the row.
    runs: dict[datetime, ScheduleRun]
    gaps: Sequence[ScheduleGap]

    @property
    def fired(self) -> list[ScheduleRun]:
        """The runs that were announced, in the order in which they were."""
        return sorted((run for run in self.runs.values() if run.state == FIRED), key=lambda run: run.fired_at)

    @property
    def unfired(self) -> list[datetime]:
        """Due times that were not announced."""
        return [due for due in self.due if due not in self.runs or self.runs[due].state != FIRED]

    @property
    def too_many(self) -> list[datetime]:
        """Rows for times that are none of the schedule's."""
        return sorted(self.runs.keys() - set(self.due))

    @property
    def unexplained(self) -> list[datetime]:
        """Due times that nobody decided: without a row, and in no gap that was found."""
        spans = [(gap.first_due_at, gap.last_due_at) for gap in self.gaps]
        missing = [due for due in self.due if due not in self.runs]
        return [due for due in missing if not any(first <= due <= last for first, last in spans)]

    @property
    def missed(self) -> int:
        """How many were never announced, as the gaps say it."""
        return sum(gap.due - gap.fired for gap in self.gaps)


def account(database: Database, name: str, upto: datetime) -> Account:
    """Everything of one schedule from its beginning to a moment."""
    with database.reading() as session:
        schedule = schedules.find(session, name)
        assert schedule is not None, name
        rows = session.connection().execute(select(_RUN).where(_RUN.c.schedule == name, _RUN.c.due_at <= upto))
        runs = {row.due_at: ScheduleRun(**row._mapping) for row in rows}
        gaps = schedule_gaps.page(session, schedule=name, limit=1000)
    due = list(triggers.read(schedule.trigger).between(schedule.counts_from, upto))
    return Account(schedule, due, runs, [gap for gap in gaps if gap.first_due_at <= upto])
