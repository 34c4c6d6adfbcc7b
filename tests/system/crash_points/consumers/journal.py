"""Write each person into the journal, one delivery at a time; some stumble at first, and some never get there."""

import time

from events.users import UserRegistered
from infra.subscriptions import Context, Retry, subscribe
from tests.drill.journal import ADD

CONSUMER = "crash-journal"
#: First word of the name of those whose first try fails, of those whom only a replay helps, and of the lost ones.
STUMBLING, RECOVERING, HOPELESS = "Stumbling", "Recovering", "Hopeless"


class Never(Exception):
    """No further try will help."""


@subscribe(CONSUMER, to=UserRegistered, retry=Retry(Retry.never(Never), delays=(5, 5, 5)))
def write(event: UserRegistered, context: Context) -> None:
    """A row in the delivery's own transaction; written before the failure, which must take it back."""
    row = {"event_id": context.event_id, "consumer": CONSUMER, "subject": str(event.user_id), "number": 0}
    context.session.connection().execute(ADD, {**row, "attempt": context.attempt, "at": time.time()})
    if event.name.startswith(HOPELESS) or (event.name.startswith(RECOVERING) and not context.is_replay):
        raise Never("This one never works.")
    if event.name.startswith(STUMBLING) and context.attempt == 1:
        raise ConnectionError("This one works the second time.")
