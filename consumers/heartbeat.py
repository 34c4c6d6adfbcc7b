"""Take the heartbeat: that it arrives shows that the whole road is open."""

from datetime import UTC, datetime

from events.clock import HeartbeatTicked
from events.health import HealthChanged
from infra import metrics
from infra.database import health
from infra.outages import Outage
from infra.settings import Settings
from infra.subscriptions import Context, Retry, subscribe
from infra.watching.findings import HEARTBEAT, SILENCE, Finding, note


@subscribe(
    "heartbeat", to=HeartbeatTicked, publishes=HealthChanged, concurrency=1, retry=Retry(delays=(5, 30), max_age=600)
)
def take_heartbeat(event: HeartbeatTicked, context: Context) -> None:
    """Write down when it came and how late; a road that was closed meanwhile is told of."""
    now = datetime.now(UTC)
    late = (now - event.due_at).total_seconds()
    metrics.ROAD.set(late)
    patience = context.provided(Settings).health_patience
    before = health.find(context.session, HEARTBEAT)
    silence = Outage(before.checked_at if before is not None else now, now)
    ends_silence = silence.seconds > max(patience, SILENCE)  # and may be late for that reason
    finding = Finding(
        HEARTBEAT,
        ok=late <= patience or ends_silence,
        detail=f"the tick of {event.due_at:%H:%M:%S}Z came after {late:.2f} s",
        outage=silence if ends_silence else None,
    )
    if change := note(context.session, finding, now, patience=patience):
        context.publish(change)
