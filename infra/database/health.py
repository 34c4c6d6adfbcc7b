"""The health of what Tidings needs, as it was found last: one row for each component."""

from datetime import datetime

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from infra.database.schedule_tables import Health
from infra.database.tables import table

_HEALTH = table(Health)
_FIRST = {
    name: dialect.insert(_HEALTH).on_conflict_do_nothing()
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
_FIND = select(_HEALTH).where(_HEALTH.c.component == bindparam("which"))
_LOCK = _FIND.with_for_update()
_ALL = select(_HEALTH).order_by(_HEALTH.c.component)
_WRITE = (
    update(_HEALTH)
    .where(_HEALTH.c.component == bindparam("which"))
    .values({name: bindparam(f"new_{name}") for name in ("state", "since", "checked_at", "detail", "doubted_since")})
)


def take(session: Session, component: str, now: datetime) -> Health:
    """The component's row, locked until the commit; one that was never looked at counts as well since now."""
    connection = session.connection()
    first = Health(component=component, state="ok", since=now, checked_at=now, detail="")
    connection.execute(_FIRST[connection.dialect.name], first.model_dump())
    return Health(**connection.execute(_LOCK, {"which": component}).one()._mapping)  # noqa: SLF001  # public


def write(session: Session, row: Health) -> None:
    """Keep what was found; of a row that was taken."""
    new = row.model_dump()
    component = new.pop("component")
    session.connection().execute(_WRITE, {"which": component, **{f"new_{name}": value for name, value in new.items()}})


def find(session: Session, component: str) -> Health | None:
    """The component's row."""
    row = session.connection().execute(_FIND, {"which": component}).one_or_none()
    return None if row is None else Health(**row._mapping)  # noqa: SLF001  # public, see SQLAlchemy's Row


def everything(session: Session) -> list[Health]:
    """All rows, by name."""
    return [Health(**row._mapping) for row in session.connection().execute(_ALL)]  # noqa: SLF001  # as above
