"""A URL that names several hosts, as one does for a cluster, and the order in which they are tried."""

from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


def each(url: str) -> list[str]:
    """The URL with each of its hosts alone: `amqp://me:secret@one:5672,two:5672/vhost` names two."""
    scheme, separator, rest = url.partition("://")
    end = next((place for place, character in enumerate(rest) if character in "/?#"), len(rest))
    login, at, hosts = rest[:end].rpartition("@")
    return [f"{scheme}{separator}{login}{at}{host.strip()}{rest[end:]}" for host in hosts.split(",")]


class Turns(Generic[T]):
    """Keeps to one as long as it does, then goes on to the next, and round again."""

    def __init__(self, choices: Sequence[T]) -> None:
        self._choices = choices
        self._place = 0

    def __len__(self) -> int:
        return len(self._choices)

    @property
    def current(self) -> T:
        """Whose turn it is."""
        return self._choices[self._place]

    def turn(self) -> None:
        """Go on to the next one: this one failed."""
        self._place = (self._place + 1) % len(self._choices)
