"""What a test is told of deliveries, in words that explain a failing assertion."""

import traceback
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from events.envelope import Envelope
from infra.effects import Intent
from infra.errors import TidingsError
from infra.mail import Composed
from infra.outcomes import ComeBack, Outcome, Park, RetryLater


class KitError(TidingsError):
    """A test asked the kit for something that cannot be."""


class State(str):
    """`handled`, `retrying`, `dead`, `filtered`, `waiting`, `pending` …: a text that knows what it is the state of."""

    __slots__ = ("story",)
    story: str

    @classmethod
    def of(cls, state: str, story: str) -> "State":
        """A state, and what a person wants to read who expected another one."""
        made = cls(state)
        made.story = story
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail that would have been sent."""

    to: str
    #: Name of the template, and what it was filled with.
    template: str
    values: dict[str, object]
    #: What the template made of it.
    subject: str
    text: str
    html: str | None
    #: The same at each try: its Message-ID.
    key: str
    consumer: str
    event_id: str
    #: Names of the files of a job's result that go with it.
    files: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, intent: Intent, made: Composed) -> "Mail":
        """Of an intent and what it was composed to."""
        return cls(
            to=made.to,
            template=str(intent.arguments["template"]),
            values=dict(intent.arguments["values"]),
            subject=made.subject,
            text=made.text,
            html=made.html,
            key=intent.key,
            consumer=intent.consumer,
            event_id=intent.event_id,
            files=[str(each["name"]) for each in intent.arguments.get("files", ())],
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Told:
    """One try to bring one event to one consumer."""

    consumer: str
    #: None: the bytes are no event.
    envelope: Envelope | None
    #: 1 for the first.
    attempt: int
    outcome: Outcome
    #: `handled`, `retrying`, `dead`, `filtered` (its `where` said no), `waiting` (for an earlier one of its subject).
    name: str
    error: BaseException | None = None
    #: Effects that happened in this try, in order; the mails among them are in `mails`, too.
    effects: list[Intent] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    #: Events that the handler published, if its work is committed.
    published: list[Envelope] = field(default_factory=list)

    @property
    def state(self) -> State:
        """What became of it; an assertion about it that fails says why it is so."""
        return State.of(self.name, repr(self))

    @property
    def event_id(self) -> str:
        """Id of the event; empty if it was none."""
        return self.envelope.id if self.envelope else ""

    @property
    def retry_in(self) -> int | None:
        """Seconds until the next try, if there is to be one."""
        return self.outcome.delay if isinstance(self.outcome, RetryLater | ComeBack) else None

    @property
    def reason(self) -> str | None:
        """Why it is dead, if it is: `handler-error`, `too-old`, `loop` …"""
        return self.outcome.reason if isinstance(self.outcome, Park) else None

    def __repr__(self) -> str:
        kind = self.envelope.type if self.envelope else "bytes that are no event"
        lines = [f"<{self.consumer}: {kind}, try {self.attempt}: {self._ending()}>"]
        if self.error is not None:
            own = _from_the_handler_on(self.error.__traceback__)
            lines += "".join(traceback.format_exception(type(self.error), self.error, own)).splitlines()
        return "\n".join(lines)

    def _ending(self) -> str:
        match self.outcome:
            case RetryLater():
                return f"retrying in {self.outcome.delay} s: {self.outcome.error}"
            case ComeBack():
                return f"comes back in {self.outcome.delay} s: {self.outcome.reason}"
            case Park():
                return f"dead, {self.outcome.reason}: {self.outcome.error}"
            case _:
                return self.name


def _from_the_handler_on(trace: TracebackType | None) -> TracebackType | None:
    """Without the frames of the delivery's own code that led to it; all of them when there are no others."""
    inner = trace
    while inner is not None and inner.tb_frame.f_globals.get("__name__", "").startswith("infra."):
        inner = inner.tb_next
    return inner or trace


@dataclass(slots=True, repr=False)
class Settled:
    """All that happened until nothing was due any more."""

    #: Tries, in order.
    told: list[Told] = field(default_factory=list)
    #: Events that were published to their consumers, in order.
    relayed: list[Envelope] = field(default_factory=list)

    def __iadd__(self, other: Self) -> Self:
        self.told += other.told
        self.relayed += other.relayed
        return self

    @property
    def states(self) -> dict[str, int]:
        """How many tries ended in each state."""
        return dict(Counter(told.name for told in self.told))

    def of(self, consumer: str) -> list[Told]:
        """The tries of one consumer."""
        return [told for told in self.told if told.consumer == consumer]

    def __repr__(self) -> str:
        return "\n".join([f"<{len(self.relayed)} published, {len(self.told)} tries>", *map(repr, self.told)])
