"""What a late consumer did, in a table without any key: a row for each time that it handled an event."""

from sqlalchemy import Boolean, Column, MetaData, String, Table, insert

TABLE = Table("late", MetaData(), Column("event_id", String), Column("is_replay", Boolean))
ADD = insert(TABLE)
CONSUMER = "late"
