"""`export-user`: one JSON document with all that is kept about somebody, whatever happens while it is made."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

import consumers.export_user
from events.envelope import Envelope
from infra.database.engine import Database
from infra.database.job_tables import JobFile
from infra.database.personal import Person
from infra.database.tables import table
from infra.jobs.storing import Folder, WithSmall
from infra.outcomes import Done, Park
from infra.personal.exporting import PARTS
from infra.settings import Settings
from infra.subscriptions import Subscription, recorded
from tests.jobs import Worker, ask, row_of
from tests.people import file_of, rows_of

ADA, EVA = Person(str(uuid4()), "ada@example.com"), Person(str(uuid4()), "eva@example.com")


class Town(Worker):
    """A process that does jobs, with settings."""

    def make(self, **options: Any) -> None:
        super().make(**options)
        settings = Settings(state_dir=self.folder, results_url=self.folder.as_uri())
        self.deliveries._provisions = {**self.deliveries._provisions, Settings: settings}


@pytest.fixture
def town(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    monkeypatch.setattr(consumers.export_user, "EVERY", -1.0)
    town = Town(database, tmp_path)
    for person, address in ((ADA, False), (ADA, True), (EVA, False), (EVA, True)):
        job = str(uuid4())
        rows_of(database, person, job=job, key=file_of(Folder(tmp_path), job, b"x"), address=address)
    yield town
    town.close()


@pytest.fixture
def kind() -> Subscription:
    return next(each for each in recorded() if each.consumer == "export-user")


def exported(town: Town, envelope: Envelope) -> dict[str, Any]:
    with town.database.reading() as session:
        file = table(JobFile)
        of_it = select(file).where(file.c.job_id == row_of(town.database, envelope).id)
        (row,) = session.connection().execute(of_it).all()
    assert "application/json" == row.media_type
    with WithSmall(Folder(town.folder)).open(row.key) as content:
        said: dict[str, Any] = json.load(content)
    return said


def test_all_that_is_kept_about_somebody_is_in_it_and_nothing_of_others(town: Town, kind: Subscription) -> None:
    envelope = ask(town.database, "export-user", user_id=ADA.id)
    assert Done() == town.deliver(kind, envelope)
    said = exported(town, envelope)
    assert ADA.id == said["user_id"]
    assert str(ADA.address) == said["account"][0]["email"]
    assert [f"{ADA.id}.json"] * 2 == [one["name"] for each in said["jobs"] for one in each["results"]]
    assert len(PARTS) == len(said) - 1
    assert [] == [name for name, part in said.items() if not part]
    assert EVA.id not in json.dumps(said)
    assert str(EVA.address) not in json.dumps(said)


def test_it_goes_on_where_it_was(town: Town, kind: Subscription) -> None:
    whole = ask(town.database, "export-user", user_id=ADA.id)
    town.deliver(kind, whole)
    envelope, looks = ask(town.database, "export-user", user_id=ADA.id), count()
    town.make(is_stopping=lambda: next(looks) % 4 == 3)
    outcomes = [town.deliver(kind, envelope)]
    while not isinstance(outcomes[-1], Done) and len(outcomes) < 100:
        outcomes.append(town.deliver(kind, envelope, redelivered=True))
    assert (Done(), True) == (outcomes[-1], len(outcomes) > 3)
    first, second = exported(town, whole), exported(town, envelope)
    assert [first.pop("jobs"), second.pop("jobs")]  # each export is itself one
    assert first == second


def test_it_goes_on_in_the_middle_of_a_walk_that_finds_nothing(
    town: Town, kind: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.database.personal.WINDOW", 1)
    test_it_goes_on_where_it_was(town, kind)


def test_somebody_who_was_never_there_fails_the_job_at_once(town: Town, kind: Subscription) -> None:
    envelope = ask(town.database, "export-user", user_id=str(uuid4()))
    assert isinstance(town.deliver(kind, envelope), Park)
    assert "failed" == row_of(town.database, envelope).state
