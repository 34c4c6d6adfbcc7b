"""Take the heartbeat: that it arrives shows that the whole road is open."""

from datetime import UTC, datetime

from events.clock import HeartbeatTicked
from infra import metrics
from infra.database import health
from infra.outages import Outage
from infra.settings import Settings
from infra.subscriptions import Context, Retry, subscribe
from infra.watching.findings import Finding, note

COMPONENT = "heartbeat"


@subscribe("heartbeat", to=HeartbeatTicked, concurrency=1, retry=Retry(delays=(5, 30), max_age=600))
def take_heartbeat(event: HeartbeatTicked, context: Context) -> None:
    """Write down when it came and how late; a road that was closed meanwhile is told of."""
    now = datetime.now(UTC)
    late = (now - event.due_at).total_seconds()
    metrics.ROAD.set(late)
    patience = context.provided(Settings).health_patience
    before = health.find(context.session, COMPONENT)
    silence = Outage(before.checked_at if before is not None else now, now)
    finding = Finding(
        COMPONENT,
        ok=late <= patience or silence.seconds > patience,  # the first one after a silence is late, and ends it
        detail=f"the tick of {event.due_at:%H:%M:%S}Z came after {late:.2f} s",
        outage=silence,
    )
    if change := note(context.session, finding, now, patience=patience):
        context.publish(change)
