"""INSERT … ON CONFLICT DO NOTHING, the same for SQLite and PostgreSQL: who comes second is told, without an error."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel

from infra.database.tables import table


class InsertNew:
    """The statements for one table, made once."""

    def __init__(self, model: type[SQLModel], unique: str) -> None:
        self._statements = {
            dialect: insert(table(model))
            .on_conflict_do_nothing(index_elements=[unique])
            .execution_options(preserve_rowcount=True)
            for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
        }

    def __call__(self, session: Session, row: dict[str, Any]) -> bool:
        """Insert the row; False when one with the same unique value is there already."""
        connection = session.connection()
        return connection.execute(self._statements[connection.dialect.name], row).rowcount == 1
