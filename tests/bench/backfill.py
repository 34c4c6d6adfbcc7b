"""A consumer is added under a load and given its past: `python -m tests.bench.backfill [--events N] [--batch] …`.

Printed are the speed of the backfill, what of the log the new consumer missed or has twice, and the latency of the
mails of live registrations before the backfill and beside it.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import insert, select

from events.envelope import announce, encode
from events.users import UserRegistered
from infra.database.engine import Database, connect
from infra.database.migrations import migrate
from infra.database.tables import EventLog, table
from infra.local.readiness import says_ready
from tests.bench.figures import percentile
from tests.bench.late.witness import CONSUMER, TABLE
from tests.bench.load import Order, Posted
from tests.bench.program import ROOT, run
from tests.bench.servers import Servers
from tests.bench.sides import OURS, Place, Running
from tests.waiting import until

_LOG = table(EventLog)
#: Seconds of the load before the backfill begins.
_BEFORE = 10
_CLIENTS = 5


def main() -> None:
    """Measure, and print a line for each figure."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--events", type=int, default=50_000)
    asked.add_argument("--batch", action="store_true")
    asked.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    asked.add_argument("--live", type=float, default=50.0, help="registrations per second meanwhile")
    asked.add_argument("--seconds", type=float, default=60.0, help="of the load, at most, beside the backfill")
    options = asked.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tidings-backfill-"))
    servers = Servers(folder)
    try:
        servers.start()
        _measure(servers, servers.place("ours", options.database, 1), options)
    finally:
        servers.stop()
    shutil.rmtree(folder)


def _measure(servers: Servers, place: Place, options: argparse.Namespace) -> None:
    migrate(place.database)
    database = connect(place.database)
    _fill(database, options.events)
    side = replace(
        OURS, prepare=lambda place: run(["consumers", "declare"], OURS.environment(place), place.folder / "d")
    )
    running = Running(side, place)
    try:
        running.wait()
        running.start_consumers()
        quiet = _latencies(servers, Load(place, "before", options.live, _BEFORE).posted())
        load = Load(place, "beside", options.live, options.seconds)
        _add_late(running, "batched" if options.batch else "alone")
        before = _cpu(running)
        operation = _backfill(place)
        print(f"{operation['state']}: {operation['message']}")  # noqa: T201
        began, ended = (datetime.fromisoformat(operation[name]).timestamp() for name in ("created_at", "finished_at"))
        took = ended - began
        sent = operation["sent"]
        cpu = " and ".join(f"{name} {1000 * spent / sent:.2f} ms" for name, spent in _cpu(running, before).items())
        print(f"{sent} sent in {took:.1f} s: {sent / took:.0f}/s; CPU of each event: {cpu}")  # noqa: T201
        during = [one for one in load.posted() if began < one.sent < ended]
        print(f"mails before: {quiet}; beside: {_latencies(servers, during)}")  # noqa: T201
        until(lambda: not _differences(database)[0], seconds=60, what="the last events")
        print("missing {}, twice {}, told anew {}, live {}".format(*_differences(database)))  # noqa: T201
    finally:
        running.stop()
        database.close()


def _fill(database: Database, events: int) -> None:
    """Events of the past week, which nobody has taken."""
    began = datetime.now(UTC) - timedelta(days=6)
    with database.transaction() as session:
        TABLE.create(session.connection())
        rows = [_row(position, began + timedelta(seconds=position)) for position in range(1, events + 1)]
        session.connection().execute(insert(_LOG), rows)


def _row(position: int, at: datetime) -> dict[str, Any]:
    event = UserRegistered(user_id=uuid4(), name="Ada Lovelace", email=f"past-{position}@example.com")
    envelope = replace(announce(event, source="/bench"), time=at)
    head = {"position": position, "event_id": envelope.id, "type": envelope.type, "subject": envelope.subject}
    return {**head, "body": encode(envelope).decode(), "published_at": at}


def _cpu(running: Running, before: Mapping[str, float] | None = None) -> dict[str, float]:
    """Seconds of each program; the load's share is in them."""
    programs = {"gateway": running.gateway, "consumers": running.consumers}
    return {name: each.cpu() - (before or {}).get(name, 0.0) for name, each in programs.items() if each is not None}


def _add_late(running: Running, which: str) -> None:
    """Start the consumers anew, with one more, as a user does who has just written it."""
    running.stop_consumers()
    running._environment = {**running._environment, "TIDINGS_CONSUMER_PACKAGES": f"tests.bench.late.{which}"}
    running.start_consumers()
    probe = f"http://127.0.0.1:{running.place.probe_port}/readyz"
    until(lambda: says_ready(probe), seconds=60, what="the consumers' readiness")


def _backfill(place: Place) -> dict[str, Any]:
    begun = _ask(place, "POST", f"/consumers/{CONSUMER}/backfill", {"since": "2026-01-01T00:00:00Z"})
    path = f"/operations/{begun['id']}"
    until(lambda: (_ask(place, "GET", path) or begun)["finished_at"], seconds=600, what="the backfill's end")
    return dict(_ask(place, "GET", path))


class Load:
    """A load generator at work."""

    def __init__(self, place: Place, prefix: str, rate: float, seconds: float) -> None:
        order = Order(place.http_port, prefix, int(rate * seconds), _CLIENTS, pause=_CLIENTS / rate)
        asked, self._answers = place.folder / f"{prefix}.order", place.folder / f"{prefix}.answers"
        asked.write_text(json.dumps(asdict(order)))
        with asked.open() as order_file, self._answers.open("w") as answers:
            arguments = [sys.executable, "-m", "tests.bench.load"]
            self._process = subprocess.Popen(arguments, cwd=ROOT, stdin=order_file, stdout=answers)

    def posted(self) -> list[Posted]:
        """Wait for its end; all that was posted."""
        self._process.wait()
        return [Posted(**one) for one in json.loads(self._answers.read_text())]


def _latencies(servers: Servers, posted: list[Posted]) -> str:
    accepted = {one.email: one.sent for one in posted if one.status == 201}
    until(lambda: accepted.keys() <= {to for to, _ in servers.mails()}, seconds=120, what="the mails")
    waits = [at - accepted[to] for to, at in servers.mails() if to in accepted]
    posts = [one.answered - one.sent for one in posted]
    figures = [percentile(waits, 0.5), percentile(waits, 0.99), percentile(posts, 0.5), percentile(posts, 0.99)]
    return "{} mails, p50 {:.0f} ms, p99 {:.0f} ms; POST p50 {:.0f} ms, p99 {:.0f} ms".format(
        len(waits), *(1000 * each for each in figures)
    )


def _differences(database: Database) -> tuple[int, int, int, int]:
    """Events of the log that the late consumer has not handled, and has twice; told anew, and live."""
    with database.reading() as session:
        log = set(
            session.connection().execute(select(_LOG.c.event_id).where(_LOG.c.type == UserRegistered.TYPE)).scalars()
        )
        rows = session.connection().execute(select(TABLE.c.event_id, TABLE.c.is_replay)).all()
    times = Counter(row.event_id for row in rows)
    anew = sum(row.is_replay for row in rows)
    return len(log - times.keys()), sum(each > 1 for each in times.values()), anew, len(rows) - anew


def _ask(place: Place, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    token = (place.folder / "operator-token").read_text().strip()
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{place.http_port}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # one that is told to end ends its servers, too
    main()
