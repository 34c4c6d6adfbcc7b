"""Mail the operator which schedules fell silent, or fire again: all that were told of at about one time in one mail."""

from collections.abc import Sequence

from events.schedules import ScheduleRecovered, ScheduleStalled
from infra.settings import Settings
from infra.subscriptions import Batch, Context, Retry, subscribe

#: When the mail server fails, the mail goes when that is back: each ten minutes for a day.
_UNTIL_IT_GOES = Retry(delays=(5, 30, 120, *(600 for _ in range(144))), max_age=86_400)
#: Schedules that a mail names of each kind.
_NAMED = 50


@subscribe(
    "silence-alert",
    to=(ScheduleStalled, ScheduleRecovered),
    concurrency=1,
    batch=Batch(size=1000, wait=10.0),
    retry=_UNTIL_IT_GOES,
    pause_after=None,
)
def alert(batch: Sequence[Context]) -> None:
    """Intend the mail, if there is an operator; without schedulers all fall silent, and one mail is enough."""
    first = batch[0]
    if operator := first.provided(Settings).operator:
        stalled = [one.event for one in batch if isinstance(one.event, ScheduleStalled)]
        recovered = [one.event for one in batch if isinstance(one.event, ScheduleRecovered)]
        first.mail.send(
            "silence-alert",
            to=operator,
            stalled=_lines(stalled),
            recovered=_lines(recovered),
            stalled_count=len(stalled),
            recovered_count=len(recovered),
        )


def _lines(events: Sequence[ScheduleStalled | ScheduleRecovered]) -> list[str]:
    named = sorted(events, key=lambda event: event.schedule)[:_NAMED]
    lines = [f"{event.schedule}, since {event.silent_since:%Y-%m-%d %H:%M:%S} UTC" for event in named]
    return [*lines, f"and {len(events) - _NAMED} more"] if len(events) > _NAMED else lines
