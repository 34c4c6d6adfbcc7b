"""What depends on an event type, now: who announces and takes it, what waits of it and where, how often it comes."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, Field
from sqlmodel import Session

from events.envelope import Event
from events.errors import UnknownType
from events.registry import families, newest
from infra.database import consumers, event_log, pauses, schedules, stages
from infra.database.tables import Subscription
from infra.errors import NotKnown
from infra.schemas import serving
from infra.subscriptions import EVERY_TYPE

#: Newest events whose sources are looked at.
_SEEN = 300
#: Schedules that are named.
_MOST_SCHEDULES = 200


class Publisher(BaseModel):
    """Who announces events of the type; schedules are told of by themselves."""

    name: str
    kind: Literal["program", "consumer"]
    declared: bool = Field(description="It says so itself: a consumer by `publishes=`.")
    seen: int = Field(description=f"Of the newest {_SEEN} events so many are from it.")


class Taker(BaseModel):
    """A consumer of the type, and what it has not settled of it."""

    name: str
    module: str | None
    takes_all: bool = Field(description="It takes every type there is.")
    paused: bool
    retiring: bool
    ordered: bool
    filtered: bool = Field(description="It does not want all of them: its guard decides.")
    pending: int = Field(description="On the way to it, in its queue, or at work.")
    retrying: int
    waiting_in_order: int
    dead_letters: int = Field(description="Those that are open.")


class OutboxView(BaseModel):
    """Events that the broker does not have yet."""

    accepted: int = Field(description="Due now.")
    waiting: int = Field(description="For their time.")
    set_aside: int = Field(description="The broker refuses them.")


class ScheduleName(BaseModel):
    """A schedule that announces the type."""

    name: str
    state: Literal["running", "paused", "silent", "retired"]


class Impact(BaseModel):
    """What depends on an event type."""

    type: str
    known: bool = Field(description="This program has a class for it.")
    version: int | None = Field(description="Of the newest class.")
    versions: list[int] = Field(description="Those that can be read: see `/schemas/{type}/{version}`.")
    description: str
    subject: str | None = Field(description="The field that says whom or what it is about.")
    publishers: list[Publisher]
    consumers: list[Taker]
    schedules: list[ScheduleName]
    outbox: OutboxView
    dead_letters: dict[str, int] = Field(description="Open ones, of all consumers, by reason.")
    last_published_at: datetime | None
    last_position: int | None
    last_hour: int = Field(description="Published within it.")
    last_day: int


def find(session: Session, event_type: str, programs: Collection[str] = ()) -> Impact:
    """All of it; `programs` are those that say themselves that they announce the type.

    Raises:
        NotKnown: nobody knows the type: neither a class, nor a consumer or schedule, nor an event.
    """
    now, rows = datetime.now(UTC), consumers.takers(consumers.declared(session), event_type)
    newest = stages.newest(session, event_type, _SEEN)
    named = list(_schedules(session, event_type))
    letters = stages.letters(session, event_type)
    outbox = stages.in_outbox(session, event_type, now)
    cls = _class(event_type)
    if not (cls or newest or named or letters or outbox or any(row.types != [EVERY_TYPE] for row in rows)):
        raise NotKnown("Nobody knows this event type: ./tidings events types lists all.")
    seen = Counter(_source(each.body) for each in newest)
    return Impact(
        type=event_type,
        known=cls is not None,
        version=cls and cls.VERSION,
        versions=serving.versions(cls.TYPE if cls else event_type),
        description=(cls.__doc__ or "").strip() if cls else "",
        subject=cls and cls.SUBJECT,
        publishers=list(_publishers(session, event_type, programs, seen)),
        consumers=_takers(session, rows, event_type, letters),
        schedules=named,
        outbox=OutboxView(**{name: outbox.get(name, 0) for name in OutboxView.model_fields}),
        dead_letters=dict(sorted(sum(letters.values(), Counter[str]()).items())),
        last_published_at=newest[0].at if newest else None,
        last_position=newest[0].position if newest else None,
        last_hour=stages.published_within(session, event_type, timedelta(hours=1), now),
        last_day=stages.published_within(session, event_type, timedelta(days=1), now),
    )


def _class(event_type: str) -> type[Event] | None:
    """Its class, be it one of its own or that of its family; of a family too."""
    with suppress(UnknownType):
        return newest(event_type)
    return families().get(event_type)


def _publishers(
    session: Session, event_type: str, programs: Collection[str], seen: Counter[str]
) -> Iterator[Publisher]:
    """Those that say so first; what was seen besides is told too, for a handler need not say what it publishes."""
    left = Counter(seen)
    declared = {f"/{name}" for name in programs} | {
        f"/consumers/{row.consumer}"
        for row in consumers.declared(session)
        if event_type in (row.options.get("publishes") or ())
    }
    for source in sorted(declared):
        yield _publisher(source, left.pop(source, 0), declared=True)
    for source, count in left.most_common():
        yield _publisher(source, count, declared=False)


def _publisher(source: str, seen: int, *, declared: bool) -> Publisher:
    name = source.removeprefix("/consumers/")
    kind: Literal["program", "consumer"] = "program" if name == source else "consumer"
    return Publisher(name=name.removeprefix("/"), kind=kind, declared=declared, seen=seen)


def _takers(
    session: Session, rows: Sequence[Subscription], event_type: str, letters: dict[str, Counter[str]]
) -> list[Taker]:
    paused, last = pauses.paused(session), event_log.last_position(session)
    found = []
    for row in rows:
        at = stages.at_consumer(session, row, event_type, last)
        found.append(
            Taker(
                name=row.consumer,
                module=row.options.get("module"),
                takes_all=row.types == [EVERY_TYPE],
                paused=row.consumer in paused,
                retiring=row.retiring_since is not None,
                ordered=bool(row.options.get("ordered")),
                filtered=bool(row.options.get("filtered")),
                pending=at.pending,
                retrying=at.retrying,
                waiting_in_order=at.in_order,
                dead_letters=letters.get(row.consumer, Counter()).total(),
            )
        )
    return found


def _schedules(session: Session, event_type: str) -> Iterator[ScheduleName]:
    for row in schedules.page(session, schedules.Filter(type=event_type), limit=_MOST_SCHEDULES):
        state: Literal["running", "paused", "silent", "retired"] = "silent" if row.silent_since else "running"
        if row.paused_at is not None:
            state = "paused"
        yield ScheduleName(name=row.name, state="retired" if row.retired_at is not None else state)


def _source(body: str) -> str:
    source = json.loads(body).get("source")  # of the log: we have written it
    return source if isinstance(source, str) else ""
