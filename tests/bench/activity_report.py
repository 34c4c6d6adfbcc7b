"""What the activity report of a long log costs: `python -m tests.bench.activity_report [--rows N] [--days N]`."""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from consumers.activity_report import report
from consumers.activity_report.asking import ActivityReport
from events.attributes import lowest_id
from infra.database.engine import connect
from infra.database.migrations import migrate
from infra.database.tables import Activity, table
from tests.reports import Doubled

UNTIL = date(2026, 11, 1)
#: A few types make nearly all of the events, as they do.
TYPES = ["heartbeat.ticked"] * 60 + ["user.registered"] * 20 + [f"thing{number}.done" for number in range(20)]


def main() -> None:
    """Measure, and print a line for each figure."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--rows", type=int, default=1_000_000)
    asked.add_argument("--days", type=int, default=90)
    asked.add_argument("--url")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or f"sqlite:///{Path(folder) / 'bench.db'}"
        migrate(url)
        fill(url, options.rows, options.days)
        for _ in range(3):  # each in a process of its own, so that each has its own peak
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.apply(measure, (url, options.days)), flush=True)  # noqa: T201


def fill(url: str, rows: int, days: int) -> None:
    """Lines of the activity log, evenly over so many days."""
    database, began = connect(url), time.perf_counter()
    lines = _lines(rows, days)
    while some := list(islice(lines, 50_000)):
        with database.transaction() as session:
            session.connection().execute(insert(table(Activity)), some)
    with database.transaction() as session:
        session.connection().execute(text("ANALYZE"))
    database.close()
    print(f"filled with {rows:,} rows in {time.perf_counter() - began:.0f} s", flush=True)  # noqa: T201


def _lines(rows: int, days: int) -> Iterator[dict[str, Any]]:
    begin = datetime.combine(UNTIL, datetime.min.time(), tzinfo=UTC) - timedelta(days=days)
    step = timedelta(days=days) / rows
    for number in range(rows):
        moment = begin + number * step
        made = f"{lowest_id(moment)[:24]}{number:012x}"
        yield {"event_id": made, "type": TYPES[number * 37 % 100], "subject": None, "time": moment}


def measure(url: str, days: int) -> str:
    """One report, by itself in its process."""
    database = connect(url)
    job = Doubled(database)
    before, began, busy = _mebibytes(), time.perf_counter(), time.process_time()
    report(ActivityReport(since=UNTIL - timedelta(days=days), until=UNTIL), job)
    took, used = time.perf_counter() - began, time.process_time() - busy
    sizes = ", ".join(f"{name} {len(content):,} B" for name, content in job.files.items())
    database.close()
    return f"{took:.2f} s ({used:.2f} s CPU), {before:.0f} MiB before it and {_mebibytes():.0f} at most; {sizes}"


def _mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
