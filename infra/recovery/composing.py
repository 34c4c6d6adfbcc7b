"""The duties of a consumers program, put together."""

from collections.abc import Iterable

from infra.database.engine import Database
from infra.recovery.duties import Duty
from infra.recovery.operating import Operating
from infra.recovery.queues import Broker
from infra.recovery.returning import Returning
from infra.recovery.sweeper import Sweeper
from infra.recovery.turning import Turning
from infra.subscriptions import Subscription


def duties(
    database: Database, broker: Broker, subscriptions: Iterable[Subscription], *, grace: float
) -> dict[str, Duty]:
    """All of them, by name; `grace` is the sweep's, in seconds."""
    # Of a job the sweep need not know how long it may take: one that is at work has a lease, and is left alone.
    timeouts = {each.consumer: each.timeout for each in subscriptions if each.job is None}
    return {
        "operations": Operating(database),
        "replays": Returning(database),
        "turns": Turning(database),
        "sweep": Sweeper(database, broker, grace=grace, timeouts=timeouts),
    }
