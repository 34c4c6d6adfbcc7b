"""What a test is told of a job, in words that explain a failing assertion."""

import json
from dataclasses import dataclass, field
from typing import Any

from events.envelope import Envelope
from infra.effects import Intent
from infra.testing.told import Mail, State, Told


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobTold:
    """One job, as it is at this moment."""

    id: str
    kind: str
    #: Id of the event that asks for it.
    event_id: str
    #: `queued`, `running`, `retrying`, `succeeded`, `failed`, `cancelled`.
    name: str
    attempts: int
    #: Why its last try failed, or why it was cancelled.
    error: str | None
    #: Its tries so far, those aside in which the process died.
    tries: list[Told] = field(default_factory=list)
    #: What its function said: how far it was, 0 to 1, and a text.
    progress: list[tuple[float, str]] = field(default_factory=list)
    #: The states of its checkpoints.
    checkpoints: list[Any] = field(default_factory=list)
    #: The `resume_state` that its function was given, each time that it began.
    resumed: list[Any] = field(default_factory=list)
    #: The files of its result by name, the main one first: JSON as it is meant, text, or bytes.
    files: dict[str, Any] = field(default_factory=dict)
    #: What it mailed, performed, and published.
    mails: list[Mail] = field(default_factory=list)
    effects: list[Intent] = field(default_factory=list)
    published: list[Envelope] = field(default_factory=list)

    @property
    def state(self) -> State:
        """What became of it; an assertion about it that fails says why it is so."""
        return State.of(self.name, repr(self))

    @property
    def result(self) -> Any:
        """What the main file holds; None while there is no result, or if there is none."""
        return next(iter(self.files.values()), None) if self.name == "succeeded" else None

    @property
    def retry_in(self) -> int | None:
        """Seconds until the next try, if there is to be one."""
        return self.tries[-1].retry_in if self.tries else None

    def __repr__(self) -> str:
        begun = f", begun {len(self.resumed)} times" if len(self.resumed) > 1 else ""
        head = f"<job {self.kind}, try {self.attempts}{begun}: {self.name}{f': {self.error}' if self.error else ''}>"
        return "\n".join([head, *map(repr, self.tries)])


def meant(media_type: str, content: bytes) -> Any:
    """The content of a file as a test wants to compare it."""
    if media_type.partition(";")[0] == "application/json":
        return json.loads(content)
    return content.decode() if media_type.startswith("text/") else content
