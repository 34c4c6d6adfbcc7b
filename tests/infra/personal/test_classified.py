"""Every column of every table is classified, so that a new one cannot be forgotten when somebody is erased."""

import pytest
from sqlmodel import SQLModel

from infra.database.migrations import SCHEMA
from infra.database.personal_places import PLACES
from infra.personal.classified import TABLES

assert SCHEMA  # the models are all imported


def test_every_table_is_classified() -> None:
    assert set(SQLModel.metadata.tables) == set(TABLES)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_column_is_either_personal_or_not(name: str) -> None:
    """A new one: say in `classified` whether it may name somebody, and in its place what becomes of it."""
    columns = TABLES[name]
    assert sorted(SQLModel.metadata.tables[name].c.keys()) == sorted(
        [*columns.personal.split(), *columns.impersonal.split()]
    )


def test_every_table_that_may_name_somebody_has_a_place() -> None:
    """The files of jobs go with their jobs; an erasure forgets its subject at its end."""
    named = {name for name, columns in TABLES.items() if columns.personal} - {"job_file", "erasure"}
    assert named == {place.name for place in PLACES}
