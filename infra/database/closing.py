"""Closing a dead letter by an operator's decision."""

from datetime import UTC, datetime

from sqlalchemy import bindparam, update
from sqlmodel import Session

from infra.database.letters import CLOSED
from infra.database.recovery_tables import DeadLetter
from infra.database.tables import table

_LETTER = table(DeadLetter)
_CLOSE = (
    update(_LETTER)
    .where(_LETTER.c.id == bindparam("letter"), _LETTER.c.state == bindparam("seen"), _LETTER.c.state.not_in(CLOSED))
    .values(state=bindparam("end"), closed_at=bindparam("now"), closed_with=bindparam("how"))
    .execution_options(preserve_rowcount=True)
)


def close(session: Session, letter: DeadLetter, state: str, how: str) -> bool:
    """Close a letter that is still in the state in which it was seen; False when it is not."""
    values = {"letter": letter.id, "seen": letter.state, "end": state, "now": datetime.now(UTC), "how": how}
    return bool(session.connection().execute(_CLOSE, values).rowcount)
