"""What a document tells: event types, who publishes and who takes them, where the broker is; no row of any event."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlmodel import Session

from events.envelope import Event, event_types
from events.errors import UnknownType
from events.registry import families, newest
from infra import hosts
from infra.database import consumers, schedules
from infra.database.schedule_tables import Schedule
from infra.database.tables import Subscription
from infra.documents.examples import example_of, made_up
from infra.schemas import rendering, serving
from infra.subscriptions import EVERY_TYPE

#: What publishes: a `program` by itself, a `schedule` at its times, a `consumer` from its handler.
PROGRAM, SCHEDULE, CONSUMER = "program", "schedule", "consumer"
#: Schedules that are told of.
_MOST = 1_000
_PORTS = {"amqp": 5672, "amqps": 5671}


@dataclass(frozen=True, slots=True)
class Server:
    """One host of the broker, as far as everybody may know it."""

    #: `host:port`.
    host: str
    #: `amqp` or `amqps`.
    protocol: str
    vhost: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One event type, its newest version."""

    type: str
    version: int
    #: Versions before that one, of which events may still be on their way.
    earlier: tuple[int, ...]
    description: str
    #: The field of its data that says whom or what it is about.
    subject: str | None
    #: Of its data, JSON Schema 2020-12; None: this program does not know the type.
    schema: Mapping[str, Any] | None
    #: Data that the type takes; None: none could be made up.
    example: Mapping[str, Any] | None
    #: The type whose schema its events name: of a member of a family, the family's.
    schema_type: str = ""
    #: Of a family: the field of its data that is the last word of a member's type.
    member: str | None = None

    @property
    def schema_path(self) -> str:
        """What its events name as their `dataschema`."""
        return rendering.path(self.schema_type or self.type, self.version)

    @property
    def address(self) -> str:
        """The type on the wire; of a family, with a place for its last word."""
        return self.type if self.member is None else f"{self.type}.{{{self.member}}}"

    @property
    def is_announced_by_hand(self) -> bool:
        """Whether `POST /events` takes it: members of families come about in ways of their own."""
        return self.is_known and self.member is None and self.schema_type in {"", self.type}

    @property
    def is_known(self) -> bool:
        """Whether this program has a class for it."""
        return self.schema is not None


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who announces events of some types."""

    kind: str
    name: str
    types: tuple[str, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class Listener:
    """A consumer."""

    name: str
    description: str
    #: Event types, or `#` for all.
    types: tuple[str, ...]
    #: See `infra.subscriptions.described`; empty for one that an older program recorded.
    options: Mapping[str, Any] = field(default_factory=dict)
    #: On its way out: it gets no new events.
    is_retiring: bool = False

    @property
    def takes_all(self) -> bool:
        """Whether every event is for it."""
        return self.types == (EVERY_TYPE,)

    def takes(self, event_type: str) -> bool:
        """Whether events of this type are for it."""
        return self.takes_all or event_type in self.types


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a document is made of."""

    kinds: tuple[Kind, ...]
    publishers: tuple[Publisher, ...]
    listeners: tuple[Listener, ...]

    def publishers_of(self, event_type: str) -> list[Publisher]:
        """Who says that it announces events of this type."""
        names = {event_type, *(cls.TYPE for cls in _family(event_type))}
        return [each for each in self.publishers if not names.isdisjoint(each.types)]

    def listeners_of(self, event_type: str) -> list[Listener]:
        """Who takes events of this type."""
        return [each for each in self.listeners if each.takes(event_type)]


def gather(session: Session, programs: Iterable[Publisher]) -> Facts:
    """From the recorded consumers, the timetable, the registry, and what programs say that they publish themselves."""
    listeners = tuple(_listener(row) for row in consumers.everyone(session))
    # What operators have added is theirs: a document is for everybody.
    timetable = schedules.page(session, schedules.Filter(origin=schedules.CODE), limit=_MOST)
    timed = (_timed(row) for row in timetable if row.retired_at is None)
    publishers = (*programs, *timed, *_handlers(listeners))
    return Facts(kinds=_kinds(publishers, listeners), publishers=publishers, listeners=listeners)


def servers(broker: str) -> tuple[Server, ...]:
    """The hosts of the broker's URL, which holds a password: nothing of that is told."""
    return tuple(_server(one) for one in hosts.each(broker))


def _server(url: str) -> Server:
    parts = urlsplit(url)
    name = parts.hostname or "localhost"
    host = f"[{name}]" if ":" in name else name
    vhost = unquote(parts.path[1:]) or "/"
    return Server(f"{host}:{parts.port or _PORTS.get(parts.scheme, 5672)}", parts.scheme, vhost)


def _listener(row: Subscription) -> Listener:
    return Listener(row.consumer, row.description, tuple(row.types), row.options, row.retiring_since is not None)


def _timed(row: Schedule) -> Publisher:
    return Publisher(SCHEDULE, row.name, (row.type,), row.description)


def _handlers(listeners: Iterable[Listener]) -> list[Publisher]:
    return [
        Publisher(CONSUMER, each.name, tuple(types), each.description)
        for each in listeners
        if (types := each.options.get("publishes"))
    ]


def _kinds(publishers: Iterable[Publisher], listeners: Iterable[Listener]) -> tuple[Kind, ...]:
    """Those of the registry, and those that somebody else's program has made known."""
    named = {name for each in publishers for name in each.types}
    named |= {name for each in listeners if not each.takes_all for name in each.types}
    known = event_types() | families()
    doing = {name: each for each in listeners if each.options.get("job") for name in each.types}
    return tuple(
        _known(known[name]) if name in known else _unknown(name, doing.get(name))
        for name in sorted(known.keys() | named)
    )


@cache
def _known(cls: type[Event]) -> Kind:
    # Kept: to make a schema takes Pydantic milliseconds, and a class never changes.
    schema = rendering.render(cls)
    return Kind(
        type=cls.TYPE,
        version=cls.VERSION,
        earlier=_earlier(cls),
        description=schema.get("description", ""),
        subject=cls.SUBJECT,
        schema=schema,
        example=example_of(cls),
        schema_type=cls.TYPE,
        member=cls.MEMBER,
    )


def _earlier(cls: type[Event]) -> tuple[int, ...]:
    """Those whose class is still there, and those of which nothing but the frozen schema is."""
    return tuple(version for version in serving.versions(cls.TYPE) if version < cls.VERSION)


def _unknown(event_type: str, doing: Listener | None) -> Kind:
    for cls in _family(event_type):
        return _member(_known(cls), event_type, doing)
    return Kind(event_type, version=0, earlier=(), description="", subject=None, schema=None, example=None)


def _family(event_type: str) -> Iterable[type[Event]]:
    """The family that the type is a member of; empty when it is none."""
    with suppress(UnknownType):
        found = newest(event_type)
        return (found,) if found.MEMBER is not None else ()
    return ()


def _member(family: Kind, event_type: str, doing: Listener | None) -> Kind:
    """A type of a family, with the parameters that the consumer takes who does such jobs."""
    schema = dict(family.schema or {})
    properties = {**schema["properties"], family.member: {"const": event_type.rpartition(".")[2]}}
    if doing is not None:
        parameters = dict(doing.options["job"]["parameters"])
        schema["$defs"] = schema.get("$defs", {}) | parameters.pop("$defs", {})
        properties["parameters"] = parameters
    schema["properties"] = properties
    return replace(
        family,
        type=event_type,
        member=None,
        description=family.description if doing is None or not doing.description else doing.description,
        schema=schema,
        example=made_up(schema),
    )
