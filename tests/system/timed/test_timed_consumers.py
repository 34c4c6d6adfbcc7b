"""What the timetable announces is done by its consumers, in real programs; what they watch is told when it fails."""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import pytest
from sqlalchemy import insert, select

from events.attributes import lowest_id
from events.envelope import decode
from events.health import HealthChanged
from infra.database import health
from infra.database.engine import Database, connect
from infra.database.recovery_tables import DeadLetter
from infra.database.tables import EventLog, ScheduleRun, User, table
from infra.local.ports import LOOPBACK, free_port
from infra.settings import environment_without_settings
from scheduler.timetable import timetable
from tests.drill.proxy import Proxy
from tests.foreground import Program
from tests.mailbox import Mailbox
from tests.waiting import until

pytestmark = pytest.mark.system
OPERATOR, WEEK_OLD = "ops@example.org", "ada@example.com"
#: Seconds; a busy machine may be still for one or two.
PATIENCE = 4.0
_FIRST_PORT = 26000 + os.getpid() % 300 * 4


@dataclass
class Site:
    """A scheduler whose timetable comes each second, consumers, a mail server, and a broker that can be cut off."""

    database: Database
    mailbox: Mailbox
    proxy: Proxy
    programs: dict[str, Program]

    def subjects(self, to: str) -> list[str]:
        """What was mailed to them."""
        return [str(mail["Subject"]) for mail in self.mailbox.messages() if mail["To"] == to]

    def changes(self, component: str) -> list[HealthChanged]:
        """What was published of it."""
        log = table(EventLog)
        query = select(log.c.body).where(log.c.type == "health.changed", log.c.subject == component)
        with self.database.reading() as session:
            events = [decode(row.body.encode()).data for row in session.connection().execute(query)]
        return [event for event in events if isinstance(event, HealthChanged)]

    def column(self, column: Any) -> set[Any]:
        """All different values of a column."""
        with self.database.reading() as session:
            return set(session.connection().execute(select(column).distinct()).scalars())

    def states(self) -> dict[str, str]:
        """Of all that is watched."""
        with self.database.reading() as session:
            return {row.component: row.state for row in health.everything(session)}


@pytest.fixture
def site(sqlite_url: str, vhost: str, mailbox: Mailbox, tmp_path: Path) -> Iterator[Site]:
    parts = urlsplit(vhost)
    proxy = Proxy(parts.port or 5672)
    proxy.start()
    through = urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@{LOOPBACK}:{proxy.port}"))
    settings = {
        "DATABASE_URL": sqlite_url,
        "RABBITMQ_URL": through,
        "SMTP_URL": mailbox.url,
        "OPERATOR_EMAIL": OPERATOR,
        "OPERATOR_TOKEN": secrets.token_hex(),
        "STATE_DIR": str(tmp_path),
        "LOG_FORMAT": "json",
        "HEALTH_PATIENCE": str(PATIENCE),
    }
    environment = environment_without_settings() | {f"TIDINGS_{name}": value for name, value in settings.items()}
    programs: dict[str, Program] = {}
    taken: set[int] = set()
    for name, module in {"consumers": "consumers", "scheduler": "tests.system.timed.clock"}.items():
        port = free_port(_FIRST_PORT, taken)
        taken.add(port)
        own = environment | {"TIDINGS_PROBE_PORT": str(port)}
        programs[name] = Program((module,), own, tmp_path / f"{name}.log", f"http://{LOOPBACK}:{port}/readyz")
    database = connect(sqlite_url)
    try:
        for program in programs.values():
            program.start()
            program.await_ready()
        yield Site(database, mailbox, proxy, programs)
    finally:
        for program in programs.values():
            program.kill()
        database.close()
        proxy.stop()


def register_a_week_ago(database: Database) -> None:
    """Somebody for whom the week will have passed in a moment."""
    moment = datetime.now(UTC) - timedelta(days=7) + timedelta(seconds=2)
    own = str(UUID(int=UUID(lowest_id(moment)).int | 7 << 76 | 2 << 62))
    row = {"id": own, "name": "Ada", "email": WEEK_OLD, "email_key": own, "registered_at": moment, "event_id": own}
    with database.transaction() as session:
        session.connection().execute(insert(table(User)), row)


@pytest.mark.timeout(240)
def test_the_whole_timetable_is_worked_off_and_what_it_watches_is_told(site: Site) -> None:
    register_a_week_ago(site.database)
    names = {line.name for line in timetable("UTC")}
    until(lambda: site.column(table(ScheduleRun).c.schedule) == names, seconds=30, what="a fire of each schedule")
    well = dict.fromkeys(("broker", "database", "heartbeat", "smtp"), "ok")
    until(lambda: site.states() == well, seconds=30, what="a look at everything")
    until(lambda: site.subjects(WEEK_OLD), seconds=30, what="the reminder")
    until(lambda: any(each.startswith("Tidings on ") for each in site.subjects(OPERATOR)), seconds=30, what="a report")
    until(lambda: "cleaning.ended" in site.column(table(EventLog).c.type), seconds=30, what="the end of a cleaning")

    the_mail_server_goes_and_comes(site)
    the_broker_goes_and_comes(site)

    assert ["A week with Tidings, Ada"] == site.subjects(WEEK_OLD)
    assert set() == site.column(table(DeadLetter).c.reason)
    assert [True, True] == [program.is_running for program in site.programs.values()]


def the_mail_server_goes_and_comes(site: Site) -> None:
    """It is told once that it failed, and once that it is back; both mails go when it is."""
    site.mailbox.pause()
    until(lambda: site.states()["smtp"] == "failing", seconds=30, what="the failure of the mail server")
    site.mailbox.start()
    until(lambda: site.states()["smtp"] == "ok", seconds=30, what="its recovery")
    wanted = {"Tidings: smtp is failing", "Tidings: smtp is well again"}
    until(lambda: wanted <= set(site.subjects(OPERATOR)), seconds=60, what="both mails")
    failed, recovered = site.changes("smtp")
    assert ("failing", "ok", failed.since) == (failed.state, recovered.state, recovered.failing_since)
    assert [1, 1] == [site.subjects(OPERATOR).count(each) for each in sorted(wanted)]


def the_broker_goes_and_comes(site: Site) -> None:
    """While it is away nothing can look; the first look afterwards tells from when to when."""
    begun = datetime.now(UTC)
    with site.proxy.cut():
        until(lambda: (datetime.now(UTC) - begun).total_seconds() > 2 * PATIENCE, seconds=60, what="a long outage")
        ended = datetime.now(UTC)
    (change,) = until(lambda: site.changes("broker"), seconds=60, what="the broker's outage")
    assert ("ok", True) == (change.state, change.failing_since is not None)
    assert change.failing_since is not None
    assert begun - timedelta(seconds=1) <= change.failing_since < ended <= change.since
    until(lambda: "Tidings: broker is well again" in site.subjects(OPERATOR), seconds=30, what="its mail")
