"""Write each tick of the drill into its journal, which has no key that would hide a second one."""

import time
from collections.abc import Sequence

from infra.subscriptions import Batch, Context, subscribe
from tests.drill.journal import ADD
from tests.drill.ticking import DrillTicked

CONSUMER = "drill-ticks"


@subscribe(CONSUMER, to=DrillTicked, batch=Batch(size=100, wait=0.02))
def tick(batch: Sequence[Context]) -> None:
    """A row for each."""
    rows = [
        {
            "event_id": one.event_id,
            "consumer": CONSUMER,
            "subject": one.subject,
            "number": 0,
            "attempt": one.attempt,
            "at": time.time(),
        }
        for one in batch
    ]
    batch[0].session.connection().execute(ADD, rows)
