"""Write each event of the drill into its journal, in the delivery's transaction."""

import time
from collections.abc import Sequence

from events.users import UserRegistered
from infra.subscriptions import Batch, Context, subscribe
from tests.drill.journal import ADD
from tests.drill.stepped import DrillStepped

CONSUMER = "drill-journal"


# One lane of one: the order of the rows is the order of the deliveries.
@subscribe(CONSUMER, to=(UserRegistered, DrillStepped), concurrency=1, batch=Batch(size=100, wait=0.02))
def journal(batch: Sequence[Context]) -> None:
    """A row for each event."""
    rows = [
        {
            "event_id": one.event_id,
            "consumer": CONSUMER,
            "subject": one.subject,
            "number": one.event.number if isinstance(one.event, DrillStepped) else 0,
            "attempt": one.attempt,
            "at": time.time(),
        }
        for one in batch
    ]
    batch[0].session.connection().execute(ADD, rows)
