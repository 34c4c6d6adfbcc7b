"""What a delivery writes: the claim of its event, what its handler collected, and what became of its effects."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlmodel import Session

from infra.context import DeliveryContext, Joint
from infra.database import effects, erasures, inbox, outbox
from infra.database.engine import Database
from infra.effects import Intent
from infra.faults import failpoint

#: A handler that took no longer is not asked for again.
_QUICK = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Through:
    """A try that is through, and wrote no rows of its own."""

    context: DeliveryContext
    delivery: inbox.Delivery
    #: Who is to perform its effects.
    owner: str


class AlreadyHandled(BaseException):
    """Another delivery of the same event came first: undo this one. No Exception, so that no handler swallows it."""


class GivenUp(BaseException):
    """The event was given up while it was at work, and others of its subject have gone on: it ends without a trace."""


class Overtaken(Exception):
    """What the commit was to end is somebody else's now, so all of it is undone, and it ends without a trace."""


class Postponed(BaseException):
    """The event cannot be handled to its end now: undo this delivery, and let the same try come back later."""

    def __init__(self, reason: str, *, delay: int = 5, write: Callable[[Session], None] | None = None) -> None:
        """`write` is to be committed together with the note that it comes back."""
        super().__init__(reason)
        self.reason = reason
        self.delay = delay
        self.write = write


@contextmanager
def followed(context: DeliveryContext) -> Iterator[None]:
    """Do what is to follow the commit, or the loss of all that was to be committed."""
    try:
        yield
    except Overtaken:
        for follow in context.after_loss:
            follow()
        raise
    for follow in context.after_commit:
        follow()


def begun(stack: ExitStack, database: Database, delivery: inbox.Delivery) -> Session:
    """A transaction with the event claimed in it: its first statement, before any of the handler's own."""
    session = stack.enter_context(database.transaction())
    if not inbox.claim(session, delivery):
        raise AlreadyHandled
    return session


def require_wanted(session: Session, delivery: inbox.Delivery) -> None:
    """Undo a handler that took its time, when what its event is about was erased after its claim.

    Only on PostgreSQL can that be, and whoever erases waits for all that had claimed by then; so this keeps no row, but
    it keeps mails at home. One that was quick has sent its mails by the time that the erasure has begun.

    Raises:
        AlreadyHandled: it was.
    """
    is_slow = datetime.now(UTC) - delivery.begun_at > _QUICK
    if is_slow and erasures.of(session, [(delivery.event_id, delivery.subject)]):
        raise AlreadyHandled


def write(session: Session, context: DeliveryContext, owner: str) -> None:
    """Write what the handler collected, in the transaction of its own rows."""
    if context.intents or context.owed:
        inbox.owe_effects(session, context.event_id, context.consumer)
        effects.intend(session, context.intents, owner)
    outbox.add_all(session, context.published)
    _write_joint(session, context.joint)
    failpoint("delivery.in-transaction", context.consumer)


def claim_and_write(session: Session, these: Sequence[Through]) -> list[bool]:
    """The whole commit of handlers that wrote no rows of their own; False where another delivery came first."""
    claimed = inbox.claim_all(session, [(one.delivery, bool(one.context.intents)) for one in these])
    ours = [one for one, is_ours in zip(these, claimed, strict=True) if is_ours]
    for one in ours:
        effects.intend(session, one.context.intents, one.owner)
        outbox.add_all(session, one.context.published)
    _write_joint(session, [each for one in ours for each in one.context.joint])
    for one in ours:
        failpoint("delivery.in-transaction", one.delivery.consumer)
    return claimed


def _write_joint(session: Session, joint: Sequence[Joint]) -> None:
    """Call each function once, with all that it is to write."""
    for write in dict.fromkeys(each for each, _ in joint):
        write(session, [what for each, what in joint if each == write])


def mark_sent(session: Session, *, intent: Intent, last: bool) -> None:
    """An effect has happened; with the last one the delivery is handled."""
    effects.mark_sent(session, intent)
    if last:
        inbox.settle(session, intent.event_id, intent.consumer)
