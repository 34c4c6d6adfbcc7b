"""Count what happened, by day and type of event, over any range of days."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, BinaryIO

from consumers.activity_report.asking import ActivityReport
from consumers.activity_report.counting import Counts, count
from consumers.activity_report.figures import Figures, figures_of
from consumers.activity_report.writing import write_csv, write_json, write_page
from infra.database.engine import Database
from infra.jobs import attaching
from infra.jobs.kinds import Job, job
from infra.settings import Settings

#: Seconds of work that a crash may cost.
_BETWEEN = 1.0
#: Types in a mail.
_TYPES = 20
_FILES: tuple[tuple[str, str, Callable[[Figures, BinaryIO], None]], ...] = (
    ("report.csv", "text/csv", write_csv),
    ("report.json", "application/json", write_json),
    ("report.html", "text/html", write_page),
)


@job("activity-report", parameters=ActivityReport, result="text/csv")
def report(parameters: ActivityReport, job: Job) -> None:
    """Count the events of each day and type, as CSV, as JSON, and as a page with charts; mailed on request."""
    if job.resume_state is not None:
        counts = Counts.resumed(job.resume_state)
    else:
        days = parameters.days(job.provided(Settings).zone, job.requested_at)
        counts = Counts(days, datetime.now(UTC))
    _count(counts, parameters, job)
    _deliver(figures_of(counts, parameters.types), parameters.mail_to, job)


def _deliver(figures: Figures, mail_to: str | None, job: Job) -> None:
    """Write the files, the main one first; the mail has that with it, if it is not too long for mail servers."""
    sizes = {}
    for name, media_type, write in _FILES:
        with job.file(name, media_type) as file:
            write(figures, file)
            sizes[name] = file.tell()
    if mail_to is not None:
        names = [name for name in ("report.csv",) if sizes[name] <= attaching.LARGEST]
        values = {**_told(figures), "attached": bool(names), "job": job.id}
        attaching.send(job, "activity-report", to=mail_to, files=names, **values)


def _count(counts: Counts, parameters: ActivityReport, job: Job) -> None:
    """Day by day; what is counted is written down now and then, and a try that goes on begins there."""
    written = time.monotonic()
    for day in count(job.provided(Database), counts, parameters.types):
        job.progress(len(counts.rows), len(counts.days), f"{day.date:%d %b %Y}")
        if time.monotonic() - written >= _BETWEEN:
            job.checkpoint(counts.as_json())
            written = time.monotonic()


def _told(figures: Figures) -> dict[str, Any]:
    """What the mail says: the report's span, and the types with the most events."""
    totals = list(zip(figures.types, figures.totals, strict=True))
    return {
        "span": figures.span.name,
        "zone": figures.days.zone,
        "total": f"{figures.total:,} event{'' if figures.total == 1 else 's'}",
        "types": [[name, f"{number:,}"] for name, number in totals[:_TYPES]],
        "left_out": max(0, len(totals) - _TYPES),
    }
