"""Replays: letters go to their consumer once more, one at once or many by an operation that is worked off behind."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session

from infra.database import audit, chosen, consumers, operations, replays
from infra.database.dead_letters import Filter
from infra.database.recovery_tables import DeadLetter, Operation
from infra.errors import NotKnown, NotPossible
from infra.recovery.letters import find, require_open


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How many letters are replayed: how fast, and when to stop."""

    #: Letters per second, at most; None: as fast as the relay sends them.
    rate: float | None = None
    #: Letters to send first; the others follow only when all of these are handled.
    canary: int | None = None
    #: The part of those that ended that must have failed for the rest not to be sent.
    stop_at_failure_ratio: float | None = None
    #: Run the handler again even where the event is handled already.
    force: bool = False


def start(session: Session, wanted: Filter, terms: Terms, *, who: str, why: str) -> Operation:
    """Begin an operation that replays the waiting letters that are meant, and nothing else that comes later."""
    operation_id = operations.new_id()
    total = chosen.choose(session, wanted, operation_id)
    request = {"filter": _filter(wanted), **asdict(terms)}
    operation = operations.add(session, operations.REPLAY, request, operation_id=operation_id, total=total)
    details = {"total": total, **request}
    audit.write(session, who=who, action="dead-letters.replay", target=operation_id, why=why, details=details)
    return operation


def start_these(session: Session, letter_ids: Sequence[str], terms: Terms, *, who: str, why: str) -> Operation:
    """The same for letters that are named: all of them or none.

    Raises:
        NotKnown: one does not exist.
        NotPossible: one does not wait, its consumer is gone, or the operation that sent it last has not counted it.
    """
    wanted = list(dict.fromkeys(letter_ids))
    for letter_id in wanted:
        try:
            require_waiting(session, find(session, letter_id))
        except (NotKnown, NotPossible) as error:
            raise type(error)(f"{letter_id}: {error} Nothing was replayed.") from None
    begun = start(session, Filter(ids=tuple(wanted)), terms, who=who, why=why)
    if begun.total < len(wanted):
        raise NotPossible("One of these dead letters is not free at this moment: try again. Nothing was replayed.")
    return begun


def replay_one(session: Session, letter_id: str, *, who: str, why: str, force: bool = False) -> DeadLetter:
    """Send one letter to its consumer now; gives it as it is then.

    What the consumer has handled by another way is closed instead, and runs with `force` only.

    Raises:
        NotKnown: there is no such letter.
        NotPossible: it is closed or being replayed, or its consumer is gone.
    """
    letter = find(session, letter_id)
    require_waiting(session, letter)
    begun = replays.begin(session, [letter_id], force=force)
    letter = find(session, letter_id)
    if not begun and letter.state == "waiting":
        raise NotPossible("This dead letter cannot be sent now: try again.")
    details = {"consumer": letter.consumer, "event_id": letter.event_id, "force": force, "state": letter.state}
    audit.write(session, who=who, action="dead-letter.replay", target=letter_id, why=why, details=details)
    return letter


def require_waiting(session: Session, letter: DeadLetter) -> None:
    """Refuse a letter that cannot be replayed now.

    Raises:
        NotPossible: says why.
    """
    require_open(letter)
    if letter.state == "queued":
        raise NotPossible("An operation will replay this dead letter: stop that first, or wait.")
    if letter.state == "replaying":
        raise NotPossible("This dead letter is being replayed already.")
    if letter.consumer not in {row.consumer for row in consumers.declared(session)}:
        raise NotPossible("No consumer of the name in this dead letter is declared: discard the letter, or edit it.")


def stop(session: Session, operation_id: str, *, who: str, why: str) -> Operation:
    """Ask an operation to stop; it does within a second, and what it has not sent waits again.

    Raises:
        NotKnown: there is no such operation.
        NotPossible: it has ended, or was asked already.
    """
    if operations.find(session, operation_id, lock=True) is None:
        raise NotKnown("No operation has this id.")
    asked = operations.ask_to_stop(session, operation_id)
    operation = find_operation(session, operation_id)
    if not asked:
        ended = "is stopping already" if operation.state == "stopping" else f"has ended already ({operation.state})"
        raise NotPossible(f"This operation {ended}.")
    audit.write(session, who=who, action="operation.stop", target=operation_id, why=why)
    return operation


def find_operation(session: Session, operation_id: str) -> Operation:
    """One operation.

    Raises:
        NotKnown: there is no such operation.
    """
    operation = operations.find(session, operation_id)
    if operation is None:
        raise NotKnown("No operation has this id.")
    return operation


def _filter(wanted: Filter) -> dict[str, Any]:
    """What was given of a filter, as JSON; the states are always the same."""
    given = {name: value for name, value in asdict(wanted).items() if value and name != "states"}
    return {name: _plain(value) for name, value in given.items()}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value
