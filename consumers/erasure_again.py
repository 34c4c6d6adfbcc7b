"""Look once more for what an erasure could not find, for it was under way then."""

from datetime import UTC, datetime

from events.clock import HourPassed
from infra.database.engine import Database
from infra.jobs import storing
from infra.personal.finishing import finish
from infra.settings import Settings
from infra.subscriptions import Context, subscribe


@subscribe("erasure-again", to=HourPassed, publishes=(), concurrency=1, timeout=1_200.0)
def look_again(_event: HourPassed, context: Context) -> None:
    """Erase what came of the erased after all, six hours later; then their ids are forgotten, too."""
    # In transactions of its own, before the delivery's begins: one that is interrupted has less to do the next time.
    database, settings = context.provided(Database), context.provided(Settings)
    for rows in finish(database, storing.store(settings.results), settings.state_dir, datetime.now(UTC)):
        context.log.info("erased once more", rows=rows)
