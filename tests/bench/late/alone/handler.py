"""Take event by event, as many at once as share the flush of a commit."""

from events.users import UserRegistered
from infra.subscriptions import Context, subscribe
from tests.bench.late.witness import ADD, CONSUMER


@subscribe(CONSUMER, to=UserRegistered, concurrency=16)
def note(_event: UserRegistered, context: Context) -> None:
    """A row for each event."""
    context.session.connection().execute(ADD, {"event_id": context.event_id, "is_replay": context.is_replay})
