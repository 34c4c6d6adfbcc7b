"""Which of a program's worker processes this one is, and how they hear of one another."""

from dataclasses import dataclass
from multiprocessing.connection import Connection


@dataclass(frozen=True, slots=True)
class Place:
    """One worker process, in all its lives."""

    #: From 0; the first one answers the probes for all.
    number: int = 0
    #: Where it tells the first one how it does; None in the first.
    says: Connection | None = None
    #: Where the first one hears of each of the others, by their numbers.
    hears: tuple[tuple[int, Connection], ...] = ()


def here() -> Place:
    """This process's; the first and only one where nobody said otherwise."""
    return _taken[-1]


def take(place: Place) -> None:
    """Be this one, from the process's start on."""
    _taken.append(place)


_taken = [Place()]
