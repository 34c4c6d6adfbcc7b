"""The crash points, each with the program that dies there and what its death leaves behind."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.system.crash_points.consumers.journal import HOPELESS, RECOVERING, STUMBLING


@dataclass(frozen=True, slots=True)
class Point:
    """One failpoint, at one consumer where it has several."""

    name: str
    #: What the first crash leaves of one registration; how much of it is said here is enough to tell the place.
    left: Mapping[str, object]
    #: The consumer whose delivery dies.
    at: str = ""
    #: First word of the person's name.
    kind: str = "Steady"

    @property
    def fault(self) -> str:
        """What to arm; the keeper and the relay do not say for whom they are at work."""
        return f"{self.name}@{self.at}" if self in (*DELIVERY, *REPLAYED) else self.name


#: The gateway dies: at the request itself, or in its relay. Nobody consumes meanwhile.
GATEWAY = (
    Point("gateway.before-commit", {"user": False}),
    Point("gateway.after-commit", {"user": True}),
    Point("relay.after-claim", {"user": True, "outbox": True, "published": False, "waiting": 0}),
    Point("relay.before-confirm", {"user": True, "outbox": True, "published": False, "waiting": 1}),
    Point("relay.after-confirm", {"user": True, "outbox": True, "published": False, "waiting": 1}),
)
#: The consumers die, with the message still unacknowledged: it waits again.
_UNDONE = {"journal": 0, "state": None, "mails": 0, "waiting": 1}
_OWED = {"state": "committed", "unsent": True, "waiting": 1}
_DONE = {"state": "handled", "unsent": False, "waiting": 1}
DELIVERY = (
    Point("delivery.in-transaction", _UNDONE, "crash-journal"),
    Point("delivery.in-transaction", _UNDONE, "crash-batch"),
    Point("delivery.in-transaction", _UNDONE, "welcome-email"),
    Point("delivery.after-commit", {"journal": 1, **_DONE}, "crash-journal"),
    Point("delivery.after-commit", {"journal": 1, "mails": 0, **_OWED}, "crash-batch"),
    Point("delivery.after-commit", {"mails": 0, **_OWED}, "welcome-email"),
    Point("delivery.after-effect", {"journal": 1, "mails": 1, **_OWED}, "crash-batch"),
    Point("delivery.after-effect", {"mails": 1, **_OWED}, "welcome-email"),
    Point("delivery.before-ack", {"journal": 1, **_DONE}, "crash-journal"),
    Point("delivery.before-ack", {"journal": 1, "mails": 1, **_DONE}, "crash-batch"),
    Point("delivery.before-ack", {"mails": 1, **_DONE}, "welcome-email"),
    Point("retry.before-ack", {"state": "retrying", "tiers": 1, "waiting": 1}, "crash-journal", STUMBLING),
    Point("dead.before-ack", {"state": "dead", "waiting": 1}, "crash-journal", HOPELESS),
)
#: The consumers die as keepers: what was given up is still in the queue of the dead letters.
KEEPING = (
    Point("keeper.before-commit", {"state": "dead", "letters": 0, "given up": 1}, "crash-journal", HOPELESS),
    Point("keeper.before-ack", {"state": "dead", "letters": 1, "given up": 1}, "crash-journal", HOPELESS),
)
#: The gateway's relay dies while it sends a dead letter to its consumer again.
RESENDING = (Point("resend.after-confirm", {"resends": 1, "waiting": 1}, "crash-journal", RECOVERING),)
#: The consumers die at a replay: what they have done, the dead letter does not know yet, or knows.
REPLAYED = (
    Point("delivery.in-transaction", {"journal": 0, "letter": "replaying", "waiting": 1}, "crash-journal", RECOVERING),
    Point("delivery.after-commit", {"journal": 1, "letter": "replaying", "waiting": 1}, "crash-journal", RECOVERING),
    Point("delivery.before-ack", {"journal": 1, "letter": "handled", "waiting": 1}, "crash-journal", RECOVERING),
)
#: The scheduler dies while it announces a due time.
CLOCK = (
    Point("scheduler.before-insert", {"fired": False}),
    Point("scheduler.after-insert", {"fired": False}),
    Point("scheduler.after-commit", {"fired": True}),
)
EVERYWHERE = (*GATEWAY, *DELIVERY, *KEEPING, *RESENDING, *REPLAYED, *CLOCK)
#: Those that have tests of their own: the cleaning dies with old rows around it (tests/infra/cleaning/test_killed.py),
#: the relay with a past (tests/infra/relaying/test_past.py), an ordered consumer with events that wait
#: (tests/system/ordered, tests/model/ordered.py), a worker with a job (tests/system/jobs).
ELSEWHERE = frozenset(
    {
        "cleaning.between-batches",
        "backfill.after-confirm",
        "ordering.after-waiting",
        "ordering.before-wake",
        "job.after-begin",
        "job.before-checkpoint",
        "job.after-checkpoint",
        "job.before-end",
        "job.after-end",
    }
)
