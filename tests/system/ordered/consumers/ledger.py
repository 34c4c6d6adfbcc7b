"""Write each step of a subject into the journal, in their order; some fail at first, and some for good."""

import time

from events.users import UserRegistered
from infra.subscriptions import Context, Retry, subscribe
from tests.drill.journal import ADD

CONSUMER = "order-ledger"
#: Words in the name of a step: the first try fails; every try does; it takes a while.
STUMBLES, DIES, LINGERS = "stumbles", "dies", "lingers"


class Never(Exception):
    """No further try will help."""


@subscribe(CONSUMER, to=UserRegistered, ordered=True, concurrency=4, retry=Retry(Retry.never(Never), delays=(5, 5, 5)))
def write(event: UserRegistered, context: Context) -> None:
    """A row in the delivery's own transaction; the number of the step stands before its name."""
    number = int(event.name.partition(" ")[0])
    row = {"event_id": context.event_id, "consumer": CONSUMER, "subject": context.subject, "number": number}
    context.session.connection().execute(ADD, {**row, "attempt": context.attempt, "at": time.time()})
    if event.name.endswith(DIES) and not context.is_replay:
        raise Never("This one never works.")
    if event.name.endswith(STUMBLES) and context.attempt == 1:
        raise ConnectionError("This one works the second time.")
    if event.name.endswith(LINGERS):
        time.sleep(0.05)
