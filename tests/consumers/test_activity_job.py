"""The activity report as a job: its files and its mail come with its end, and a stopped one goes on elsewhere."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import consumers
import consumers.activity_report as kind
from consumers.activity_report import counting
from infra.database import job_files
from infra.database.engine import Database
from infra.effects import Intent
from infra.jobs.attaching import Attachments
from infra.jobs.storing import Folder, WithSmall
from infra.mail import Mailer, Templates
from infra.outcomes import ComeBack, Done, Park
from infra.subscriptions import Subscription, recorded
from tests.jobs import Worker, ask, change, row_of
from tests.mailbox import Mailbox
from tests.reports import put

DAY = datetime(2026, 11, 1, tzinfo=UTC)
SPAN = {"since": "2026-11-01", "until": "2026-11-08"}
HOUR = timedelta(hours=1)


@dataclass
class Mailing(Worker):
    """A worker that sends its mails."""

    mailer: Mailer | None = None

    def _perform(self, intent: Intent) -> None:
        assert self.mailer is not None
        self.mailer.perform(intent)

    def files(self, job_id: str) -> dict[str, bytes]:
        """Those that count."""
        with self.database.reading() as session:
            found = job_files.of(session, job_id)
        contents = {}
        for file in found:
            with WithSmall(Folder(self.folder)).open(str(file.key)) as content:
                contents[file.name] = content.read()
        return contents


@pytest.fixture
def worker(database: Database, tmp_path: Path, mailbox: Mailbox) -> Iterator[Mailing]:
    folder = tmp_path / "results"
    fetch = Attachments(database, WithSmall(Folder(folder))).fetch
    mailer = Mailer(mailbox.url, sender="t@example.org", templates=Templates(consumers.TEMPLATES), fetch=fetch)
    made = Mailing(database, folder, mailer=mailer)
    yield made
    made.close()
    mailer._smtp._drop()


@pytest.fixture
def subscription() -> Subscription:
    (found,) = (each for each in recorded() if each.consumer == "activity-report")
    return found


def test_its_files_come_with_its_end_and_the_mail_has_the_table(
    database: Database, worker: Mailing, mailbox: Mailbox, subscription: Subscription
) -> None:
    put(database, ((DAY + number * HOUR, "user.registered") for number in range(7 * 24)))
    asked = ask(database, "activity-report", **SPAN, mail_to="ada@example.com")
    assert Done() == worker.deliver(subscription, asked)
    row = row_of(database, asked)
    assert ("succeeded", 1.0, "07 Nov 2026") == (row.state, row.progress, row.progress_text)
    files = worker.files(row.id)
    assert ["report.csv", "report.json", "report.html"] == list(files)
    assert {"user.registered": 168} == json.loads(files["report.json"])["types"]
    (message,) = mailbox.messages()
    (attached,) = message.iter_attachments()
    assert files["report.csv"] == attached.get_payload(decode=True)
    assert "Activity, 1 Nov 2026 to 7 Nov 2026: 168 events" == message["Subject"]


def test_one_that_is_handed_back_goes_on_where_it_was(
    database: Database, worker: Mailing, subscription: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "_BETWEEN", 0.0)
    put(database, ((DAY + number * HOUR, "user.registered") for number in range(7 * 24)))
    asked = ask(database, "activity-report", **SPAN)
    counted: list[Any] = []
    plain = counting.count

    def count(*arguments: Any) -> Iterator[Any]:
        for day in plain(*arguments):
            counted.append(day.date.day)
            worker.is_stopping = counted == [1, 2, 3]
            yield day

    monkeypatch.setattr(kind, "count", count)
    assert isinstance(worker.deliver(subscription, asked), ComeBack)
    assert ("queued", 1) == (row_of(database, asked).state, row_of(database, asked).attempts)
    worker.make()
    assert Done() == worker.deliver(subscription, asked)
    assert [1, 2, 3, 3, 4, 5, 6, 7] == counted  # the day that was not written down is counted anew
    assert 168 == json.loads(worker.files(row_of(database, asked).id)["report.json"])["total"]


def test_one_that_is_cancelled_leaves_nothing(
    database: Database,
    worker: Mailing,
    mailbox: Mailbox,
    subscription: Subscription,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kind, "_BETWEEN", 0.0)  # a checkpoint says at once that it is cancelled
    asked = ask(database, "activity-report", **SPAN, mail_to="ada@example.com")
    plain = counting.count

    def count(*arguments: Any) -> Iterator[Any]:
        for day in plain(*arguments):
            if day.date.day == 3:
                change(database, asked, cancelled_at=datetime.now(UTC))
            yield day

    monkeypatch.setattr(kind, "count", count)
    assert Done() == worker.deliver(subscription, asked)
    row = row_of(database, asked)
    assert ("cancelled", "03 Nov 2026") == (row.state, row.progress_text)
    assert ({}, []) == (worker.files(row.id), mailbox.log)


def test_what_a_schema_cannot_say_fails_the_job_at_once_and_names_the_rule(
    database: Database, worker: Mailing, subscription: Subscription
) -> None:
    asked = ask(database, "activity-report", since="2026-11-08", until="2026-11-01")
    outcome = worker.deliver(subscription, asked)
    assert isinstance(outcome, Park)
    row = row_of(database, asked)
    assert ("failed", 1) == (row.state, row.attempts)
    assert "until: not_after_since" in row.error
