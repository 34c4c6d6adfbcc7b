"""When an operation stops before its end: the canary, the ratio of failures, or an operator."""

import sys
from datetime import UTC, datetime, timedelta

from sqlmodel import Session

from infra.database import chosen
from infra.database.recovery_tables import Operation

#: Letters under way while a failure ratio is watched: as many may fail before it is seen.
WATCHED = 100
#: Letters that must have ended before a failure ratio says anything.
ENOUGH = 20
#: How long the canary may take: a handler that has failed and is tried again in a tier for longer is not well.
PATIENCE = timedelta(seconds=120)


def is_canary(operation: Operation) -> bool:
    """Whether the canary is being sent, or is on its way, or has just ended: nothing beyond it was sent."""
    canary: int | None = operation.request.get("canary")
    return canary is not None and operation.sent <= canary


def room(operation: Operation, under_way: int) -> int:
    """How many more may be sent now, as far as the canary and the failures are concerned."""
    if is_canary(operation):
        left: int = operation.request["canary"] - operation.sent
        if left or under_way or operation.failed:
            return left
    if operation.request.get("stop_at_failure_ratio") is not None:
        return WATCHED - under_way
    return sys.maxsize


def reason(session: Session, operation: Operation, under_way: int) -> str | None:
    """Why it must stop now, in words; None as long as it may go on."""
    if operation.state == "stopping":
        return "an operator stopped it"
    if is_canary(operation):
        return _canary_fails(session, operation)
    limit, ended = operation.request.get("stop_at_failure_ratio"), operation.sent - under_way
    if limit is not None and ended >= ENOUGH and operation.failed / ended >= limit:
        return f"{operation.failed} of {ended} that ended have failed"
    return None


def _canary_fails(session: Session, operation: Operation) -> str | None:
    canary = operation.request["canary"]
    if operation.failed:
        return f"{operation.failed} of the canary's {canary} failed"
    since = chosen.longest_on_its_way(session, operation.id)
    if since is not None and datetime.now(UTC) - since > PATIENCE:
        return f"the canary was not handled within {PATIENCE.total_seconds():.0f} s"
    return None
