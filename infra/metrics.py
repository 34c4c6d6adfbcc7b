"""All metrics of all programs on one page, in Prometheus's form."""

from prometheus_client import Counter, Gauge, Histogram, generate_latest

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600, 86400)

EVENTS_ACCEPTED = Counter("tidings_events_accepted", "Events added to the outbox by a request or a fire.", ["type"])
EVENTS_PUBLISHED = Counter("tidings_events_published", "Events that the broker confirmed into a queue.", ["type"])
OUTBOX_ROWS = Gauge("tidings_outbox_rows", "Events that are due and not published.")
OUTBOX_OLDEST = Gauge("tidings_outbox_oldest_seconds", "Age of the oldest event that is due and not published.")
OUTBOX_SET_ASIDE = Gauge("tidings_outbox_set_aside", "Events that failed too often and are passed over.")
DELIVERIES = Counter("tidings_deliveries", "Deliveries that ended, by outcome.", ["consumer", "outcome"])
CONSUMER_PAUSED = Gauge(
    "tidings_consumer_paused", "1 while the consumer is paused or tried with a probe.", ["consumer"]
)
HANDLER = Histogram("tidings_handler_seconds", "Time in the handler itself.", ["consumer"], buckets=_FAST)
END_TO_END = Histogram(
    "tidings_end_to_end_seconds", "From the event's time to all of a consumer's effects.", ["consumer"], buckets=_LONG
)
DEAD_LETTERS_KEPT = Counter(
    "tidings_dead_letters_kept", "Dead messages that were written down.", ["consumer", "reason"]
)
SETTLED_POSITION = Gauge(
    "tidings_settled_position", "Up to here in the event log everything is handled, or a dead letter.", ["consumer"]
)
LAG_EVENTS = Gauge("tidings_lag_events", "Published events that the consumer has not settled.", ["consumer"])
LAG_SECONDS = Gauge("tidings_lag_seconds", "Age of the oldest of them.", ["consumer"])
RESENT = Gauge("tidings_resent_events", "Lost events that the sweep has sent again, in all.", ["consumer"])
UNSETTLED = Gauge("tidings_unsettled_rows", "Events that the sweep watches one by one.", ["consumer"])
ROAD = Gauge("tidings_road_seconds", "From a heartbeat's due time to its arrival at its consumer, the last one's.")
SCHEDULES_SILENT = Gauge("tidings_schedules_silent", "Schedules that have not fired for more than two periods.")
ROWS_REMOVED = Counter("tidings_rows_removed", "Old rows that the cleaning removed.", ["table"])
HEALTHY = Gauge("tidings_healthy", "1 while this was found well, as far as it was looked at.", ["component"])
HEALTH_AGE = Gauge("tidings_health_age_seconds", "Since the last look at it, or the last heartbeat.", ["component"])
CONNECTED = Gauge("tidings_amqp_connected", "1 while the connection to RabbitMQ is open.", ["role"])
JOBS = Gauge("tidings_jobs", "Jobs that are open: queued, running or retrying.", ["kind", "state"])
SCHEDULE_FIRED = Counter("tidings_schedule_fired", "Due times that this replica announced.", ["schedule", "kind"])
SCHEDULE_SKIPPED = Counter(
    "tidings_schedule_skipped", "Due times that this replica left out with a note, alone.", ["schedule"]
)
SCHEDULE_MISSED = Counter("tidings_schedule_missed", "Due times in gaps that were never announced.", ["schedule"])
SCHEDULE_LATENESS = Histogram(
    "tidings_schedule_lateness_seconds", "From a due time to the commit that announced it.", buckets=_FAST
)
RELAY_ACTIVE = Gauge("tidings_relay_active", "1 while this process is the one that publishes.")


def render() -> bytes:
    """All metrics of this process in Prometheus's text format."""
    return generate_latest()
