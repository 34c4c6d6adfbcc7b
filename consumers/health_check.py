"""Look each minute whether what Tidings needs does its work."""

from datetime import UTC, datetime

from events.clock import MinutePassed
from events.health import HealthChanged
from infra.database import health
from infra.settings import Settings
from infra.subscriptions import Context, Retry, subscribe
from infra.watching.checks import Checks
from infra.watching.findings import HEARTBEAT, SILENCE, Finding, note


@subscribe(
    "health-check", to=MinutePassed, publishes=HealthChanged, concurrency=1, retry=Retry(delays=(5,), max_age=300)
)
def check_health(_: MinutePassed, context: Context) -> None:
    """Look at broker, database and mail server, and only then write down what was found and announce what changed."""
    findings = context.provided(Checks).look()
    patience, now = context.provided(Settings).health_patience, datetime.now(UTC)
    if silent := _silent_heartbeat(context, now, patience):
        findings.append(silent)
    for finding in findings:
        if change := note(context.session, finding, now, patience=patience):
            context.publish(change)


def _silent_heartbeat(context: Context, now: datetime, patience: float) -> Finding | None:
    """That none has come; one that comes is written down by its own consumer."""
    row = health.find(context.session, HEARTBEAT)
    if row is None or (now - row.checked_at).total_seconds() <= max(patience, SILENCE):
        return None
    found = f"none has come since {row.checked_at:%Y-%m-%d %H:%M:%S}Z"
    return Finding(HEARTBEAT, False, found, seen_at=row.checked_at)
