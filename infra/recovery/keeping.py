"""The keeper: takes the dead messages out of their queue, and writes each down before it lets the broker forget it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import structlog
from sqlmodel import Session

from infra import metrics
from infra.database import dead_letters, erasures, event_log, inbox, outbox, releases, waiting
from infra.database.engine import Database
from infra.database.letters import Letter
from infra.errors import DatabaseUnavailable
from infra.faults import failpoint
from infra.outcomes import Done, Hold, Incoming, Outcome
from infra.rabbitmq.topology import DEAD_LETTERS
from infra.recovery import post_mortem
from infra.recovery.post_mortem import Dead
from infra.subscriptions import Batch, Subscription

_log = structlog.get_logger(__name__)
#: Messages that are told of, as such that cannot be kept: each once, and then again.
_MOST_TOLD = 1_000


def subscription() -> Subscription:
    """The keeper's lane: beside the consumers' own, on the same connection."""
    return Subscription(DEAD_LETTERS, (), _never_called, concurrency=1, timeout=600.0, batch=Batch(100, 0.05))


class Keeper:
    """Gives `Done` for what is written down and `Hold` for the rest: a copy would be without its own history."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told: set[str] = set()

    def keep(self, incoming: Sequence[Incoming]) -> list[Outcome]:
        """Write several down in one transaction; if one of them is at fault, each in its own."""
        together = self._attempt(incoming)
        if len(incoming) == 1 or not (isinstance(together, Hold) and together.alone):
            return [together] * len(incoming)
        return [self._attempt([one]) for one in incoming]

    def _attempt(self, incoming: Sequence[Incoming]) -> Outcome:
        try:
            letters = self._database.run(partial(_write, dead=[post_mortem.read(one) for one in incoming]))
            self._let_go({(letter.consumer, letter.subject) for letter in letters})
            for letter in letters:
                metrics.DEAD_LETTERS_KEPT.labels(letter.consumer, letter.reason).inc()
            failpoint("keeper.before-ack")
        except DatabaseUnavailable as error:
            return Hold(str(error))
        except BaseException as error:  # noqa: BLE001  # whatever it was, an interrupt too: the queue keeps the message
            if len(incoming) == 1:
                self._tell(incoming[0], error)
            return Hold(type(error).__name__, alone=isinstance(error, Exception))
        return Done()

    def _let_go(self, subjects: set[tuple[str, str | None]]) -> None:
        """What was given up without a delivery that could say so keeps nothing of its subject waiting any more."""
        with self._database.reading() as session:
            free = [
                (consumer, subject)
                for consumer, subject in subjects
                if subject is not None and waiting.next_of(session, consumer, subject, 1)
            ]
        for consumer, subject in free:
            self._database.run(partial(releases.release, consumer=consumer, subject=subject))

    def _tell(self, incoming: Incoming, error: BaseException) -> None:
        name = post_mortem.digest(incoming.body)
        if name in self._told:
            return
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told.add(name)
        _log.error("dead letter not kept", sha256=name, size=len(incoming.body), error=type(error).__name__)


def _write(session: Session, *, dead: Sequence[Dead]) -> list[Letter]:
    keys = dead_letters.keys_of(session, [one.replayed for one in dead if one.replayed is not None])
    letters = _wanted(session, [_known(session, one, keys) for one in dead])
    ids = [dead_letters.keep(session, letter) for letter in letters]
    dead_letters.close_already_handled(session, ids)
    dead_letters.tell_inbox(session, ids)
    failpoint("keeper.before-commit")
    return letters


def _wanted(session: Session, letters: Sequence[Letter]) -> list[Letter]:
    """Those that are not about what was erased: of these nothing is kept."""
    erased = erasures.of(session, [(letter.event_id, letter.subject) for letter in letters])
    gone = [letter for letter in letters if (letter.event_id, letter.subject) in erased]
    for letter in gone:
        if letter.event_id is not None:
            inbox.erase(session, inbox.Delivery(letter.event_id, letter.consumer, letter.attempts, datetime.now(UTC)))
    return [letter for letter in letters if letter not in gone]


def _known(session: Session, one: Dead, keys: dict[tuple[str, str], str]) -> Letter:
    """The letter, under the key of the one whose replay it was, or of the event that it is though unreadable here."""
    letter = one.letter
    if one.is_claim and _is_ours(session, letter):
        letter = replace(letter, key=f"{letter.consumer}/{letter.event_id}")
    if one.replayed is not None and (key := keys.get((one.replayed, letter.consumer))):
        letter = replace(letter, key=key)
    return letter


def _is_ours(session: Session, letter: Letter) -> bool:
    """Whether these bytes are an event that the outbox announced, though this program cannot read it (any more)."""
    for find in (event_log.find, outbox.find):
        row = find(session, letter.event_id or "")
        if row is not None:
            return row.body.encode() == letter.body
    return False


def _never_called(*_: object) -> None:
    raise AssertionError("the keeper is no consumer of events")
