"""The audit: who did what, when and why, written in the transaction of the deed itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlmodel import Session
from uuid_utils.compat import uuid7

from infra.database.recovery_tables import Audit
from infra.database.session import add_rows
from infra.database.tables import table

_AUDIT = table(Audit)
_ADD = insert(_AUDIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which rows of the audit; None asks for any."""

    who: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def write(  # noqa: PLR0913  # each is named
    session: Session, *, who: str, action: str, target: str, why: str, details: Mapping[str, Any] | None = None
) -> str:
    """Write down what an operator does, beside what it changes; gives the row's id."""
    row = {
        "id": str(uuid7()),
        "at": datetime.now(UTC),
        "who": who,
        "action": action,
        "target": target,
        "why": why,
        "details": dict(details or {}),
    }
    add_rows(session, _ADD, [row])
    return str(row["id"])


def page(session: Session, wanted: Filter, *, before: str | None, limit: int) -> list[Audit]:
    """What operators did, the newest first, from before the row with this id on."""
    equal = {"who": wanted.who, "action": wanted.action, "target": wanted.target}
    query = select(_AUDIT).where(*(_AUDIT.c[name] == value for name, value in equal.items() if value is not None))
    if wanted.since is not None:
        query = query.where(_AUDIT.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(_AUDIT.c.at < wanted.until)
    if before is not None:
        query = query.where(_AUDIT.c.id < before)
    rows = session.connection().execute(query.order_by(_AUDIT.c.id.desc()).limit(limit))
    return [Audit(**row._mapping) for row in rows]  # noqa: SLF001  # public, see SQLAlchemy's Row
