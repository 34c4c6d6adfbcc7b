"""The schema of erasures: subjects that nothing is to be kept of any more, whatever is still on its way."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from infra.database.tables import BY_KEY, UtcDateTime

_OPEN = text("subject IS NOT NULL")


class Erasure(SQLModel, table=True):
    """A subject that was erased, or is being erased: what comes of it later is dropped."""

    __tablename__ = "erasure"
    __table_args__: ClassVar[Any] = (Index("erasure_open", "key", sqlite_where=_OPEN, postgresql_where=_OPEN), BY_KEY)
    #: SHA-256 of the subject, hexadecimal: who has the id may ask, and nobody learns it from here.
    key: str = Field(primary_key=True)
    #: The subject itself, as long as a further pass has to look for it.
    subject: str | None = None
    #: Their address, which somebody else may have from the beginning on: it is kept until the end,
    #: and until the later look if there is something for that.
    address: str | None = None
    begun_at: datetime = Field(sa_type=UtcDateTime)
    #: Id of the event that tells others of it: of all that is about the subject this alone is let through.
    announced: str | None = None
    #: When it is looked for again, counted from its end; None: it has not ended, or was looked for the last time. One
    #: that is begun anew keeps it until it ends anew.
    again_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
