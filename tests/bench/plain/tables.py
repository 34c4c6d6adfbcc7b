"""The plain side's tables, and its engine made from a URL in the environment."""

import os
import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, event
from sqlmodel import Field, SQLModel, create_engine


def _now() -> datetime:
    return datetime.now(UTC)


class User(SQLModel, table=True):
    """A person who registered."""

    __tablename__ = "users"
    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    name: str
    email: str = Field(unique=True, index=True)
    registered_at: datetime = Field(default_factory=_now)


class Activity(SQLModel, table=True):
    """One line of the activity log."""

    __tablename__ = "activity"
    id: int | None = Field(default=None, primary_key=True)
    type: str
    subject: str
    time: datetime = Field(default_factory=_now)


def _sqlite_settings(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def make_engine(url: str) -> Engine:
    """The engine with SQLAlchemy's own pool; SQLite waits 30 s for its lock and survives power loss, as ours does."""
    if not url.startswith("sqlite"):
        return create_engine(url)
    engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": 30})
    event.listen(engine, "connect", _sqlite_settings)
    return engine


engine = make_engine(os.environ["PLAIN_DATABASE_URL"])
