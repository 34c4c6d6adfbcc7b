"""Mails with files of a job's result: read when they are sent, and refused when nothing is left to be sent."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest
from sqlmodel import Session

import consumers
from infra.database import job_files
from infra.database.engine import Database
from infra.database.job_tables import JobFile
from infra.effects import Intent
from infra.errors import EffectFailed, EffectRefused
from infra.jobs import attaching, storing
from infra.jobs.attaching import Attachments
from infra.mail import Mailer, Templates
from infra.mime import Attachment
from tests.mailbox import Mailbox

JOB = str(uuid4())
CSV = {"job": JOB, "name": "report.csv"}
CONTENT = "day,type\r\n2026-11-01,ä\r\n".encode()
VALUES = {
    "span": "1 Nov 2026",
    "zone": "UTC",
    "total": "1 event",
    "types": [["a", "1"]],
    "left_out": 0,
    "attached": True,
    "job": JOB,
}


@pytest.fixture
def store(tmp_path: Path) -> storing.Store:
    return storing.store((tmp_path / "results").as_uri())


@pytest.fixture
def attachments(database: Database, store: storing.Store) -> Attachments:
    return Attachments(database, store)


def keep(database: Database, store: storing.Store, content: bytes, expires_in: timedelta | None = None) -> str:
    """The file of a job that is through."""
    key, now = storing.new_key(JOB), datetime.now(UTC)
    with store.put(key) as file:
        file.write(content)
    row = JobFile(
        job_id=JOB,
        ordinal=1,
        name="report.csv",
        media_type="text/csv",
        key=key,
        size=len(content),
        digest=sha256(content).hexdigest(),
        created_at=now,
        expires_at=None if expires_in is None else now + expires_in,
    )
    with database.transaction() as session:
        job_files.add(session, JOB, [row])
    return key


def test_the_file_is_read_from_the_store(database: Database, store: storing.Store, attachments: Attachments) -> None:
    keep(database, store, CONTENT, timedelta(days=1))
    assert Attachment("report.csv", "text/csv", CONTENT) == attachments.fetch(CSV)


def test_what_is_kept_no_more_is_refused_for_good(
    database: Database, store: storing.Store, attachments: Attachments
) -> None:
    with pytest.raises(EffectRefused, match="kept no more"):
        attachments.fetch(CSV)
    key = keep(database, store, CONTENT, -timedelta(seconds=1))
    with pytest.raises(EffectRefused, match="kept no more"):
        attachments.fetch(CSV)
    with database.transaction() as session:
        _drop(session, key)
    with pytest.raises(EffectRefused, match="kept no more"):
        attachments.fetch(CSV)


def _drop(session: Session, key: str) -> None:
    job_files.removed(session, {key: JOB})


def test_what_is_not_in_the_store_may_be_there_at_the_next_try(
    database: Database, store: storing.Store, attachments: Attachments
) -> None:
    store.remove(keep(database, store, CONTENT))
    with pytest.raises(EffectFailed, match="TIDINGS_RESULTS_URL"):
        attachments.fetch(CSV)


def test_what_mail_servers_would_not_take_is_not_read(
    database: Database, store: storing.Store, attachments: Attachments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attaching, "LARGEST", len(CONTENT) - 1)
    keep(database, store, CONTENT)
    with pytest.raises(EffectRefused, match="more than"):
        attachments.fetch(CSV)


@pytest.fixture
def mailer(mailbox: Mailbox, attachments: Attachments) -> Iterator[Mailer]:
    templates = Templates(consumers.TEMPLATES)
    made = Mailer(mailbox.url, sender="t@example.org", templates=templates, fetch=attachments.fetch)
    yield made
    made._smtp._drop()


def test_the_mail_arrives_with_its_file(
    database: Database, store: storing.Store, mailer: Mailer, mailbox: Mailbox
) -> None:
    keep(database, store, CONTENT)
    arguments = {"template": "activity-report", "to": "ada@example.com", "values": VALUES, "files": [CSV]}
    mailer.perform(Intent("018f", "activity-report", 0, "mail", arguments, "a-key"))
    (message,) = mailbox.messages()
    (file,) = message.iter_attachments()
    assert ("report.csv", "text/csv", CONTENT) == (
        file.get_filename(),
        file.get_content_type(),
        file.get_payload(decode=True),
    )
    body = message.get_body(("plain",))
    assert body is not None
    assert "are in the attached report.csv" in body.get_content()
    assert "Activity, 1 Nov 2026: 1 event" == message["Subject"]


def test_a_program_without_files_refuses_them(mailbox: Mailbox) -> None:
    made = Mailer(mailbox.url, sender="t@example.org", templates=Templates(consumers.TEMPLATES))
    arguments = {"template": "activity-report", "to": "ada@example.com", "values": VALUES, "files": [CSV]}
    with pytest.raises(EffectRefused, match="no files"):
        made.perform(Intent("018f", "activity-report", 0, "mail", arguments, "a-key"))
    assert [] == mailbox.log
