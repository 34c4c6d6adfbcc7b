"""What is wrong with the consumers' code, found out by importing it alone, without a broker or a database."""

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, Field

from events.envelope import event_types
from infra import discovery
from infra.adding import signatures
from infra.discovery import Found, module_of
from infra.subscriptions import EVERY_TYPE, Subscription, recorded

#: Seconds after which RabbitMQ takes back a message that is not acknowledged (`consumer_timeout`, 30 minutes).
_BROKERS_PATIENCE = 1800


class Finding(BaseModel):
    """One thing that was found."""

    level: Literal["problem", "note"] = Field(description="A note needs nobody to do anything.")
    about: str = Field(description="A module, or a consumer, or an event type.")
    text: str


class Report(BaseModel):
    """All that was found."""

    consumers: list[str]
    findings: list[Finding]

    @property
    def problems(self) -> int:
        """How many of the findings must be mended."""
        return sum(each.level == "problem" for each in self.findings)


def packages(further: Sequence[str]) -> tuple[str, ...]:
    """Where consumers are looked for."""
    return ("consumers", *further)


def check(further: Sequence[str] = ()) -> Report:
    """Import every consumer module, and look at what was found; problems first."""
    found = discovery.discover(packages(further))
    chosen = [each for each in recorded() if module_of(each) in found.modules]
    findings = [*_ignored(found), *_of_handlers(chosen), *_slow(found), *_notes(chosen)]
    findings.sort(key=lambda each: each.level != "problem")
    return Report(consumers=[each.consumer for each in chosen], findings=findings)


def _ignored(found: Found) -> Iterable[Finding]:
    for module, reason in found.ignored.items():
        yield Finding(level="problem", about=module, text=reason)


def _of_handlers(subscriptions: Iterable[Subscription]) -> Iterable[Finding]:
    for each in subscriptions:
        for text in signatures.problems(each):
            yield Finding(level="problem", about=each.consumer, text=f"{text} ({module_of(each)})")


def _slow(found: Found) -> Iterable[Finding]:
    for module, seconds in found.slow.items():
        yield Finding(level="note", about=module, text=f"its import takes {seconds:g} s, for which every program waits")


def _notes(subscriptions: Sequence[Subscription]) -> Iterable[Finding]:
    for each in subscriptions:
        if each.timeout >= _BROKERS_PATIENCE and each.job is None:  # a job is handed back in time
            text = f"RabbitMQ takes a message back after 30 minutes, so its timeout of {each.timeout:g} s is too long"
            yield Finding(level="note", about=each.consumer, text=text)
    named = {name for each in subscriptions for name in each.types}
    takers = [each.consumer for each in subscriptions if each.types == (EVERY_TYPE,)]
    beside = f" beside {', '.join(takers)}, which takes every event" if takers else ""
    for name in event_types():
        if name not in named:
            yield Finding(level="note", about=name, text=f"nobody listens to it{beside}")
