"""Mail the operator when something that Tidings needs fails, and when it is well again."""

from events.health import HealthChanged
from infra.settings import Settings
from infra.subscriptions import Context, Retry, subscribe

#: When it is the mail server that fails, the mail goes when that is back: each ten minutes for a day.
_UNTIL_IT_GOES = Retry(delays=(5, 30, 120, *(600 for _ in range(144))), max_age=86_400)


@subscribe("health-alert", to=HealthChanged, concurrency=1, retry=_UNTIL_IT_GOES, pause_after=None)
def alert(event: HealthChanged, context: Context) -> None:
    """Mail the operator, if there is one, what fails or is well again."""
    if operator := context.provided(Settings).operator:
        context.mail.send(
            "health-alert",
            to=operator,
            component=event.component,
            state=event.state,
            since=_shown(event.since),
            failing_since=event.failing_since and _shown(event.failing_since),
            detail=event.detail,
        )


def _shown(moment: object) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
