"""Take longer for each tick than the time between two of them."""

import time

from infra.subscriptions import Context, subscribe
from tests.system.replicas.ticking import ReplicaDragged

CONSUMER = "replica-slow"
#: Seconds.
WORK = 2.3


@subscribe(CONSUMER, to=ReplicaDragged)
def drag(event: ReplicaDragged, context: Context) -> None:
    """Work outside of the database, so that nobody else has to wait."""
    time.sleep(WORK)
