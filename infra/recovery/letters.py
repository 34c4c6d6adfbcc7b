"""One dead letter, for whoever is about to do something with it."""

from sqlmodel import Session

from infra.database import dead_letters
from infra.database.letters import CLOSED
from infra.database.recovery_tables import DeadLetter
from infra.errors import NotKnown, NotPossible

#: A state that ends a letter, in words.
_ENDS = {
    "handled": "its event is handled",
    "discarded": "it was discarded",
    "erased": "what it was about was erased",
    "superseded": "an edited event took its place",
}


def find(session: Session, letter_id: str) -> DeadLetter:
    """The letter with its message.

    Raises:
        NotKnown: there is no such letter.
    """
    letter = dead_letters.find(session, letter_id)
    if letter is None:
        raise NotKnown("No dead letter has this id.")
    return letter


def require_open(letter: DeadLetter) -> None:
    """Refuse a letter that is closed.

    Raises:
        NotPossible: says how it ended.
    """
    if letter.state in CLOSED:
        raise NotPossible(f"This dead letter is closed: {_ENDS[letter.state]}.")
