"""Write each tick into the journal, which has no key that would hide a second one."""

import time

from infra.subscriptions import Context, subscribe
from tests.drill.journal import ADD
from tests.system.replicas.ticking import ReplicaTicked

CONSUMER = "replica-journal"


@subscribe(CONSUMER, to=ReplicaTicked)
def write(event: ReplicaTicked, context: Context) -> None:
    """A row in the delivery's own transaction."""
    row = {"event_id": context.event_id, "consumer": CONSUMER, "subject": event.schedule, "number": 0}
    context.session.connection().execute(ADD, {**row, "attempt": context.attempt, "at": time.time()})
