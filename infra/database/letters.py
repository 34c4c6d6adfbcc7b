"""What is said of dead letters: what the keeper knows of one, which are meant, their groups, and a replay's preview."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select

from infra.database.inbox import SETTLED
from infra.database.recovery_tables import DeadLetter
from infra.database.tables import Inbox, Subscription, table

_LETTER, _INBOX, _SUBSCRIPTION = table(DeadLetter), table(Inbox), table(Subscription)
_FRAME = re.compile(r"(.*):\d+( in .*)")
_SAME = ("consumer", "type", "reason", "subject", "fingerprint", "event_id")
#: States that an operator, a replay or an erasure has ended.
CLOSED = ("handled", "discarded", "superseded", "erased")
#: The letter's event is what its key says it is: not merely an id that stands in a body which is no event.
IS_OF_EVENT = _LETTER.c.key == _LETTER.c.consumer + "/" + _LETTER.c.event_id
#: Its consumer is through with the event, by whatever way.
ALREADY_HANDLED = IS_OF_EVENT & (
    select(1)
    .where(_INBOX.c.event_id == _LETTER.c.event_id, _INBOX.c.consumer == _LETTER.c.consumer)
    .where(_INBOX.c.state.in_(SETTLED))
    .exists()
)
_OF_CONSUMER = select(1).where(_SUBSCRIPTION.c.consumer == _LETTER.c.consumer)
#: Its consumer is known, on its way out or not.
IS_RECORDED = _OF_CONSUMER.exists()
#: Its consumer still is one.
HAS_CONSUMER = _OF_CONSUMER.where(_SUBSCRIPTION.c.retiring_since.is_(None)).exists()


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is known of a message that was given up; the texts are short and hold nothing that a database refuses."""

    key: str
    consumer: str
    event_id: str | None
    type: str | None
    subject: str | None
    reason: str
    exception: str | None
    error: str
    frame: str | None
    attempts: int
    first_failed_at: datetime
    last_failed_at: datetime
    version: str
    body: bytes = field(repr=False)
    #: It is a replay that failed.
    is_replay: bool = False

    @property
    def fingerprint(self) -> str:
        """The same for failures with the same cause: line numbers, which every release moves, do not count."""
        place = _FRAME.sub(r"\1\2", self.frame) if self.frame else ""
        cause = [self.consumer, self.exception, place] if self.exception else [self.consumer, "", self.reason]
        return hashlib.sha256("\n".join(map(str, cause)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which dead letters are meant; what is None does not matter."""

    consumer: str | None = None
    type: str | None = None
    reason: str | None = None
    #: With its module, or the bare name of the class.
    exception: str | None = None
    subject: str | None = None
    fingerprint: str | None = None
    event_id: str | None = None
    #: Failed last at this time or later …
    since: datetime | None = None
    #: … and before this one.
    until: datetime | None = None
    #: These alone; none of them means any.
    ids: tuple[str, ...] = ()
    #: None of them means all.
    states: tuple[str, ...] = ()

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same as conditions on the table."""
        same = {name: value for name in _SAME if (value := getattr(self, name)) is not None}
        conditions = [_LETTER.c[name] == value for name, value in same.items()]
        if self.exception is not None:
            ends = _LETTER.c.exception.endswith(f".{self.exception}", autoescape=True)
            conditions.append(or_(_LETTER.c.exception == self.exception, ends))
        if self.since is not None:
            conditions.append(_LETTER.c.last_failed_at >= self.since)
        if self.until is not None:
            conditions.append(_LETTER.c.last_failed_at < self.until)
        if self.ids:
            conditions.append(_LETTER.c.id.in_(self.ids))
        if self.states:
            conditions.append(_LETTER.c.state.in_(self.states))
        return conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Failures with the same cause."""

    fingerprint: str
    consumer: str
    exception: str | None
    #: Of the newest one, as are the reason and the exception.
    frame: str | None
    reason: str
    count: int
    first_at: datetime
    last_at: datetime
    #: Id of the newest one.
    sample: str

    @property
    def cursor(self) -> str:
        """Where the next page begins, for `groups(before=…)`."""
        return f"{self.last_at.isoformat()}/{self.fingerprint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a replay would do to the letters that wait."""

    #: Waiting letters that match.
    total: int
    would_run: int
    #: The inbox says that the consumer handled them by another way: they are closed, and run with `force` only.
    already_handled: int
    #: Effects that happened already, or may have, and would happen again with `force`.
    effects: int
    #: Consumer -> how many would run.
    by_consumer: dict[str, int]
