"""Write people and ticks into the journal, many in one transaction, and send each person a mail of its own."""

import time
from collections.abc import Sequence

from events.users import UserRegistered
from infra.subscriptions import Batch, Context, subscribe
from tests.drill.journal import ADD
from tests.system.crash_points.ticks import CrashClockTicked

CONSUMER = "crash-batch"


@subscribe(CONSUMER, to=(UserRegistered, CrashClockTicked), batch=Batch(size=50, wait=0.05))
def write(batch: Sequence[Context]) -> None:
    """A row for each."""
    for one in batch:
        row = {"event_id": one.event_id, "consumer": CONSUMER, "subject": one.subject or "", "number": 0}
        one.session.connection().execute(ADD, {**row, "attempt": one.attempt, "at": time.time()})
        if isinstance(one.event, UserRegistered):
            one.mail.send("welcome", to=copy_for(one.event.email), name=one.event.name)


def copy_for(email: str) -> str:
    """The address that this consumer's mail for a person goes to."""
    return f"copy-{email}"
