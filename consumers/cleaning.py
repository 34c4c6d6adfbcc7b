"""Remove old rows."""

from events.cleaning import CleaningEnded, CleaningRequested
from infra.cleaning.cleaning import Cleaning
from infra.database.engine import Database
from infra.jobs import storing
from infra.settings import Settings
from infra.subscriptions import Context, subscribe

#: Seconds of one pass: what is left then has an event of its own, so that no handler runs for hours.
LONGEST = 60.0


@subscribe(
    "cleaning", to=CleaningRequested, publishes=(CleaningEnded, CleaningRequested), concurrency=1, timeout=4 * LONGEST
)
def clean(event: CleaningRequested, context: Context) -> None:
    """Remove what is older than it has to be kept, and tell how much that was."""
    # In transactions of its own, before the delivery's begins: a pass that is interrupted leaves less for the next one.
    settings = context.provided(Settings)
    cleaning = Cleaning(context.provided(Database), settings.retention, store=storing.store(settings.results))
    cleaned = cleaning.run(seconds=LONGEST)
    context.publish(
        CleaningEnded(
            removed=dict(cleaned.removed),
            seconds=cleaned.seconds,
            is_complete=cleaned.is_complete,
            waits_for=cleaned.waits_for,
        )
    )
    if cleaned.removed and not cleaned.is_complete:
        context.publish(event)
