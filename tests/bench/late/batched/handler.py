"""Take many events at once."""

from collections.abc import Sequence

from events.users import UserRegistered
from infra.subscriptions import Batch, Context, subscribe
from tests.bench.late.witness import ADD, CONSUMER


@subscribe(CONSUMER, to=UserRegistered, batch=Batch(size=200, wait=0.02))
def note(batch: Sequence[Context]) -> None:
    """A row for each event."""
    rows = [{"event_id": one.event_id, "is_replay": one.is_replay} for one in batch]
    batch[0].session.connection().execute(ADD, rows)
