"""Where the deliveries of a test take place: the real delivery code, and effects that are written down."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from events.envelope import Envelope, decode
from events.errors import UndecodableEvent
from infra import rehearsal
from infra.database import inbox
from infra.database.engine import Database
from infra.effects import Intent
from infra.errors import EffectFailed
from infra.failing import Follow, alone
from infra.mail import Templates, compose
from infra.outcomes import ComeBack, Done, Hold, Incoming, Outcome, Park, PassedOver, RetryLater
from infra.rehearsal import MAIL, Capturing, Played, Rehearsal
from infra.subscriptions import Subscription
from infra.testing.told import Mail, Told

_NAMES: dict[type[Outcome], str] = {RetryLater: "retrying", ComeBack: "retrying", Park: "dead", Hold: "held"}


class Stage:
    """One for each test."""

    def __init__(
        self, database: Database, provisions: Mapping[type, object], *, owner: str | None = None, follow: Follow = alone
    ) -> None:
        """`owner` is what this process is called, `follow` keeps up with tries that fail, as jobs do."""
        self.capturing = Capturing(self._happen)
        self.mails: list[Mail] = []
        #: All tries so far.
        self.told: list[Told] = []
        self._database = database
        self._rehearsal = Rehearsal(database, self.capturing, provisions=provisions, owner=owner, follow=follow)
        self._templates = rehearsal.templates()
        #: How often effects of a kind will fail yet, and how.
        self._failing: Counter[str] = Counter()
        self._errors: dict[str, Exception] = {}

    def use_templates(self, folder: Path) -> None:
        """Take the mails' templates from here."""
        self._templates = Templates(folder)

    def fail_effects(self, kind: str, times: int, error: Exception | None) -> None:
        """Let the next effects of this kind fail."""
        self._failing[kind] = times
        self._errors[kind] = error or EffectFailed(f"the test lets {kind} fail")

    def play(self, subscription: Subscription, incoming: Sequence[Incoming]) -> list[Told]:
        """Deliver in the test's own thread, in one batch if the consumer takes batches."""
        return self._tell(subscription, incoming, self._rehearsal.play_in_time(subscription, incoming))

    def play_at_work(self, subscription: Subscription, incoming: Sequence[Incoming]) -> list[Told]:
        """Deliver in a worker's thread, which has a time limit."""
        return self._tell(subscription, incoming, self._rehearsal.play(subscription, incoming))

    def close(self) -> None:
        """End what runs beside the handlers."""
        self._rehearsal.close()

    def _tell(self, subscription: Subscription, incoming: Sequence[Incoming], played: Sequence[Played]) -> list[Told]:
        told = [self._told(subscription.consumer, *each) for each in zip(incoming, played, strict=True)]
        self.told += told
        return told

    def _told(self, consumer: str, incoming: Incoming, played: Played) -> Told:
        envelope = _read(incoming.body)
        entry = self._entry(envelope, consumer)
        keys = {intent.key for intent in played.effects}
        is_through = entry is not None and entry.is_through and played.context is not None
        return Told(
            consumer=consumer,
            envelope=envelope,
            attempt=incoming.attempt,
            outcome=played.outcome,
            name=_name(played.outcome, entry),
            error=played.error,
            effects=list(played.effects),
            mails=[mail for mail in self.mails if mail.key in keys] if keys else [],
            published=[each for each, _ in played.context.published] if is_through and played.context else [],
        )

    def _entry(self, envelope: Envelope | None, consumer: str) -> inbox.Entry | None:
        if envelope is None:
            return None
        with self._database.reading() as session:
            return inbox.look(session, envelope.id, consumer)

    def _happen(self, intent: Intent) -> None:
        made = compose(self._templates, intent) if intent.kind == MAIL else None
        if self._failing[intent.kind]:
            self._failing[intent.kind] -= 1
            raise self._errors[intent.kind]
        if made is not None:
            self.mails.append(Mail.of(intent, made))


def _name(outcome: Outcome, entry: inbox.Entry | None) -> str:
    if isinstance(outcome, PassedOver):
        return "dead" if entry is not None and entry.state == "dead" else "waiting"
    if not isinstance(outcome, Done):
        return _NAMES[type(outcome)]
    return entry.state if entry is not None and entry.is_through else "waiting"


def _read(body: bytes) -> Envelope | None:
    try:
        return decode(body)
    except UndecodableEvent:
        return None
