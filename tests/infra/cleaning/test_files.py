"""Results go when their time is over, jobs after them, and what a dead try left behind goes too."""

import os
from pathlib import Path

import pytest
import time_machine

from infra.jobs.storing import Folder, WithSmall
from infra.retention import FOREVER
from tests.madejobs import Jobs
from tests.oldrows import CONSUMER, DAY, KEPT, MINUTE, NOTHING_GOES, Rows, ago

CSV, TXT = ("report.csv", "text/csv", b"1\n"), ("notes.txt", "text/plain", b"x")
#: Since when jobs that go are over.
OLD = KEPT.jobs + MINUTE


class Unwilling(Folder):
    """A store that keeps what it has."""

    def remove(self, key: str) -> None:
        raise PermissionError(13, "Permission denied")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "results")


@pytest.fixture
def rows(rows: Rows, folder: Folder) -> Rows:
    rows.store = WithSmall(folder)
    return rows


@pytest.fixture
def jobs(rows: Rows, folder: Folder) -> Jobs:
    return Jobs(rows.database, folder)


def test_a_file_whose_time_is_over_goes_and_its_row_stays_without_a_key(rows: Rows, jobs: Jobs) -> None:
    jobs.made("succeeded", CSV, TXT, age=3 * DAY, kept=2 * DAY)
    jobs.made("failed", CSV, age=3 * DAY, kept=2 * DAY)
    jobs.small("in its row", age=3 * DAY, kept=2 * DAY)
    jobs.made("succeeded", CSV, age=DAY, kept=2 * DAY)
    jobs.made("succeeded", CSV, age=DAY, kept=FOREVER)
    assert ({"job_file": 4}, 5) == (rows.would_go(), jobs.on_disk())
    assert {"job_file": 4} == rows.clean().removed
    assert ([None] * 4, 2) == (jobs.stored()[:4], jobs.on_disk())
    assert {} == rows.clean().removed


@pytest.mark.parametrize("state", ["queued", "running", "retrying"])
def test_what_checkpoints_have_counted_stays_while_their_job_is_open(rows: Rows, jobs: Jobs, state: str) -> None:
    jobs.made(state, CSV, age=3 * DAY, kept=DAY)
    assert ({}, {}, 1) == (rows.would_go(), rows.clean().removed, jobs.on_disk())


def test_a_pass_that_dies_between_a_file_and_its_row_is_made_up_for_by_the_next(
    rows: Rows, jobs: Jobs, folder: Folder
) -> None:
    jobs.made("succeeded", CSV, age=3 * DAY, kept=DAY)
    folder.remove(str(jobs.stored()[0]))
    assert {"job_file": 1} == rows.clean().removed
    assert [None] == jobs.stored()


def test_a_file_that_cannot_be_removed_is_tried_again_and_holds_nothing_else_up(rows: Rows, jobs: Jobs) -> None:
    jobs.made("succeeded", CSV, age=3 * DAY, kept=DAY)
    rows.activity(KEPT.activity + DAY)
    rows.store = Unwilling(jobs.folder.folder)
    assert {"activity": 1} == rows.clean().removed
    rows.store = WithSmall(jobs.folder)
    assert {"job_file": 1} == rows.clean().removed


def test_what_a_dead_try_left_goes_after_a_day_unless_its_job_runs(rows: Rows, jobs: Jobs) -> None:
    with time_machine.travel(ago(2 * DAY)):
        running, over = jobs.made("running", CSV), jobs.made("succeeded", CSV)
    for key in jobs.stored():
        os.utime(jobs.folder.folder / str(key), (0, 0))
    for job_id in (running, over, over):
        jobs.stray(job_id, 2 * DAY)
    jobs.stray(over, DAY - MINUTE)
    assert ({"stray_file": 2}, 6) == (rows.would_go(), jobs.on_disk())
    assert ({"stray_file": 2}, 4) == (rows.clean().removed, jobs.on_disk())


def test_a_job_that_has_been_over_for_long_goes_with_the_rows_of_its_files(rows: Rows, jobs: Jobs) -> None:
    jobs.made("succeeded", CSV, age=OLD, kept=DAY)
    jobs.made("cancelled", age=OLD)
    young = {jobs.made("succeeded", age=KEPT.jobs - MINUTE), jobs.made("succeeded", CSV)}
    open_ = {jobs.made(state, age=OLD) for state in ("queued", "running", "retrying")}
    assert {"job": 2, "job_file": 1} == rows.would_go()
    assert {"job": 2, "job_file": 2} == rows.clean().removed  # a file, and its row
    assert (young | open_, 1) == (jobs.ids(), len(jobs.stored()))


def test_a_job_stays_as_long_as_its_result(rows: Rows, jobs: Jobs) -> None:
    kept = {jobs.made("succeeded", CSV, age=OLD, kept=FOREVER), jobs.made("succeeded", CSV, age=OLD, kept=2 * OLD)}
    assert ({}, {}) == (rows.would_go(), rows.clean().removed)
    assert kept == jobs.ids()


def test_a_failed_job_stays_while_its_dead_letter_can_be_replayed(rows: Rows, jobs: Jobs) -> None:
    waiting, closed = (jobs.made("failed", age=OLD, event_id=f"event-{number}") for number in range(2))
    rows.letter("event-0", "waiting", DAY, consumer=CONSUMER)
    rows.letter("event-1", "discarded", DAY, consumer=CONSUMER)
    assert {"job": 1} == rows.clean().removed
    assert {waiting} == jobs.ids() != {closed}


def test_nothing_goes_where_all_is_kept_for_ever_or_the_store_is_not_known(rows: Rows, jobs: Jobs) -> None:
    jobs.made("succeeded", CSV, age=OLD, kept=FOREVER)
    jobs.made("succeeded", age=OLD)
    assert {} == rows.clean(NOTHING_GOES).removed
    jobs.made("succeeded", CSV, age=OLD, kept=DAY)
    rows.store = None
    assert ({"job": 1}, 2) == (rows.clean().removed, jobs.on_disk())


def test_one_of_the_tables_alone_is_cleaned(rows: Rows, jobs: Jobs) -> None:
    jobs.stray(jobs.made("succeeded", CSV, age=3 * DAY, kept=DAY), 2 * DAY)
    assert {"stray_file": 1} == rows.clean(tables=["stray_file"]).removed
    assert {"job_file": 1} == rows.clean(tables=["job_file"]).removed


def test_a_pass_whose_time_is_up_says_that_more_is_to_go(
    rows: Rows, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.cleaning.cleaning.BATCH", 2)
    for _ in range(3):
        jobs.made("succeeded", CSV, age=3 * DAY, kept=DAY)
    first = rows.clean(seconds=0.0, tables=["job_file"])
    assert ({"job_file": 2}, False) == (first.removed, first.is_complete)
    assert ({"job_file": 1}, True) == ((rest := rows.clean(tables=["job_file"])).removed, rest.is_complete)
