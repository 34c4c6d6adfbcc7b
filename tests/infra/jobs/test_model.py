"""Jobs under everything that may happen to them, in any order: none twice at once, each step once, an end is an end.

`TIDINGS_SEARCH=1` searches for minutes instead of seconds.
"""

import shutil
from pathlib import Path

import pytest

from tests.infra.test_state_machine import search
from tests.model.job_road import JobRoad
from tests.model.job_world import kinds
from tests.postgres import Postgres


@pytest.mark.timeout(900)
def test_a_job_is_done_once_whatever_happens(sqlite_template: Path) -> None:
    def fresh(folder: Path) -> str:
        return f"sqlite:///{shutil.copyfile(sqlite_template, folder / 'tidings.db')}"

    with kinds():
        search(JobRoad, fresh, 40)


@pytest.mark.timeout(900)
def test_the_same_on_postgresql(postgres: Postgres, postgres_template: str) -> None:
    def fresh(folder: Path) -> str:
        return postgres.create(folder.name.replace("-", "_"), postgres_template)

    with kinds():
        search(JobRoad, fresh, 5)
