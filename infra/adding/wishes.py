"""What somebody wants a new consumer to be, checked before anything is written."""

import difflib
import keyword
from collections.abc import Iterable
from dataclasses import dataclass

from events.envelope import Event, event_types
from infra.commands import Misused
from infra.discovery import module_of
from infra.naming import problem_of
from infra.subscriptions import recorded


class Unwise(Misused):
    """No consumer can be made of what was asked for; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A consumer to be, or a kind of jobs."""

    name: str
    #: None: every event; of a kind of jobs it is of no account.
    classes: tuple[type[Event], ...] | None
    is_async: bool = False
    is_batch: bool = False
    is_ordered: bool = False
    is_job: bool = False

    @property
    def module(self) -> str:
        """Name of its module."""
        return self.name.replace("-", "_")

    def check(self) -> None:
        """Find out whether it can be.

        Raises:
            Unwise: its name cannot be one or is taken, or two options exclude one another.
        """
        if (problem := problem_of(self.name)) is not None:
            raise Unwise(problem)
        if keyword.iskeyword(self.module):
            raise Unwise(f"{self.name!r} is a word of Python itself, and cannot name a module: take another name.")
        for each in recorded():
            if each.consumer == self.name:
                raise Unwise(f"The name {self.name!r} is taken by {module_of(each)}: take another name.")
        if self.is_job and (self.is_batch or self.is_ordered):
            raise Unwise("A job comes alone and has no order: leave out --batch and --ordered, or --job.")
        if self.is_batch and self.is_ordered:
            raise Unwise("A batch mixes subjects, so it cannot be ordered too: leave out --batch or --ordered.")


def chosen(names: Iterable[str], *, is_all: bool, is_job: bool = False) -> tuple[type[Event], ...] | None:
    """The event classes of these types; None for all.

    Raises:
        Unwise: there is no such type, or none was named, or one for jobs.
    """
    wanted = list(dict.fromkeys(names))
    if is_job and (is_all or wanted):
        raise Unwise("A kind of jobs takes the requests for its own jobs, and no events: leave out --on and --all.")
    if is_job:
        return None
    if is_all and wanted:
        raise Unwise("--all has every type in it: leave out --on, or --all.")
    if is_all:
        return None
    if not wanted:
        raise Unwise("Say which events it takes: --on user.registered, several times if need be, or --all; or --job.")
    return tuple(named(name) for name in wanted)


def named(event_type: str) -> type[Event]:
    """The class of an event type.

    Raises:
        Unwise: there is none; the nearest ones are named.
    """
    if (found := event_types().get(event_type)) is not None:
        return found
    shown = event_type if len(event_type) <= 60 else f"{event_type[:60]}…"
    near = _nearest(event_type)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(event_types())}."
    raise Unwise(f"No event has the type {shown!r}: {hint}")


def _nearest(event_type: str) -> list[str]:
    """Types that look alike; a class name stands for its type."""
    types = event_types()
    spoken = {cls.__name__.lower(): name for name, cls in types.items()} | {name: name for name in types}
    found = difflib.get_close_matches(event_type.lower(), spoken, n=3, cutoff=0.6)
    return list(dict.fromkeys(spoken[each] for each in found))
