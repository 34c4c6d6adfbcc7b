"""The event types: the base class of all events, the newest class of each type, and the way up from older versions."""

import re
from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, model_validator
from pydantic_core import PydanticCustomError

from events.attributes import LONGEST_TEXT, is_text
from events.errors import InvalidData, UnknownType

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
U = TypeVar("U", bound=Upcaster)

_WORDS = re.compile(r"[a-z][a-z0-9]*(\.[a-z][a-z0-9]*)+")
#: How often a type may be among the causes of its own events, unless its class says so itself; and the most it may say.
REPEATS, _MOST_REPEATS = 5, 9_000
#: Octets: a type is a routing key, which AMQP 0-9-1 carries as a short string.
_LONGEST_TYPE = 255


class Event(BaseModel, frozen=True, extra="ignore", allow_inf_nan=False):
    """A fact. Its class names its type, its version, and the field (if any) that says whom or what it is about.

    A type whose events go on where the last one ended, page by page, says how often one may be among its own causes:
    beyond `repeats` it is a loop.

    A family of types has one class: `member` names the field whose value is the last word of the type on the wire, so
    that each consumer is given its own members and no others.

    Raises (when a class is made):
        TypeError: the type is not words such as `user.registered`, or is taken, the subject or the member is no field,
            or `repeats` no number.
    """

    TYPE: ClassVar[str]
    VERSION: ClassVar[int]
    SUBJECT: ClassVar[str | None]
    REPEATS: ClassVar[int]
    MEMBER: ClassVar[str | None]

    def __init_subclass__(
        cls,
        *,
        type: str,  # noqa: A002  # reads best
        version: int,
        subject: str | None = None,
        repeats: int = REPEATS,
        member: str | None = None,
        **options: Any,
    ) -> None:
        super().__init_subclass__(**options)
        cls.TYPE, cls.VERSION, cls.SUBJECT, cls.REPEATS, cls.MEMBER = type, version, subject, repeats, member

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        _register(cls)

    @classmethod
    def type_of(cls, member: str) -> str:
        """The type on the wire of one member of this family."""
        return f"{cls.TYPE}.{member}"

    @model_validator(mode="after")
    def _subject_can_travel(self) -> Self:
        # Checked here so that whoever posts such an event is told at once, and any event can be announced.
        if (subject := subject_of(self)) is not None and not is_text(subject):
            raise PydanticCustomError(
                "unusable_subject",
                "{field} is the event's subject: 1 to {longest} characters, none of them a control character",
                {"field": self.SUBJECT, "longest": LONGEST_TEXT},
            )
        return self


def subject_of(event: Event) -> str | None:
    """Whom or what the event is about, as its envelope says it."""
    value = None if event.SUBJECT is None else getattr(event, event.SUBJECT)
    return None if value is None else str(value)


def type_of(event: Event) -> str:
    """The event's type, as its envelope says it."""
    return event.TYPE if event.MEMBER is None else event.type_of(getattr(event, event.MEMBER))


_classes: dict[tuple[str, int], type[Event]] = {}
_newest: dict[str, type[Event]] = {}
_upcasters: dict[tuple[str, int], Upcaster] = {}


def event_types() -> dict[str, type[Event]]:
    """The newest class of each type, by type; without families, whose members nobody knows beforehand."""
    return {name: cls for name, cls in sorted(_newest.items()) if cls.MEMBER is None}


def families() -> dict[str, type[Event]]:
    """The newest class of each family, by what the types of its members begin with."""
    return {name: cls for name, cls in sorted(_newest.items()) if cls.MEMBER is not None}


def classes() -> dict[tuple[str, int], type[Event]]:
    """Every class that there is, by type and version: an older one may be kept beside the newest."""
    return dict(sorted(_classes.items()))


def newest(event_type: str) -> type[Event]:
    """The class that events of this type become.

    Raises:
        UnknownType: there is none.
    """
    if (found := _find(event_type)) is None:
        raise UnknownType("type: not one that this program knows")
    return found


def repeats(event_type: str) -> int:
    """How often this type may be among the causes of its own events."""
    found = _find(event_type)
    return REPEATS if found is None else found.REPEATS


def _find(event_type: str) -> type[Event] | None:
    """The class of a type, or that of the family which a type is a member of; a family is no type itself."""
    family, _, member = event_type.rpartition(".")
    found = _newest.get(event_type)
    if found is None and member and (found := _newest.get(family)) is not None:
        return found if found.MEMBER is not None else None
    return None if found is None or found.MEMBER is not None else found


def upcaster(event_type: str, version: int) -> Callable[[U], U]:
    """Register the function that turns the data of this version into data of the next one.

    Raises:
        TypeError: that step exists already.
    """

    def record(step: U) -> U:
        if _upcasters.setdefault((event_type, version), step) is not step:
            raise TypeError(f"{event_type} has two upcasters from version {version}: remove one.")
        return step

    return record


def upcast(event_type: str, version: int, data: dict[str, Any]) -> dict[str, Any]:
    """Data of an older version as the newest class takes it.

    Raises:
        InvalidData: a step is missing.
    """
    for step in range(version, _newest[event_type].VERSION):
        if (event_type, step) not in _upcasters:
            raise InvalidData(f"dataschema: no upcaster of {event_type} from version {step}")
        data = _upcasters[event_type, step](data)
    return data


def check_upcasters() -> list[str]:
    """What is wrong with the steps between versions, one line each: one that is missing, or one that leads nowhere."""
    needed = {(name, step) for name, cls in _newest.items() for step in range(1, cls.VERSION)}
    missing = [f"{name}: no upcaster from version {step}" for name, step in sorted(needed - _upcasters.keys())]
    useless = [
        f"{name}: the upcaster from version {step} leads nowhere" for name, step in sorted(_upcasters.keys() - needed)
    ]
    return missing + useless


def forget(event_type: str) -> None:
    """Take all versions of a type and its upcasters back, for a test."""
    _newest.pop(event_type, None)
    for records in (_classes, _upcasters):
        for key in [key for key in records if key[0] == event_type]:
            del records[key]


def _register(cls: type[Event]) -> None:
    _check(cls)
    _classes[cls.TYPE, cls.VERSION] = cls
    if cls.TYPE not in _newest or _newest[cls.TYPE].VERSION < cls.VERSION:
        _newest[cls.TYPE] = cls


def _check(cls: type[Event]) -> None:
    if not isinstance(cls.TYPE, str) or not _WORDS.fullmatch(cls.TYPE) or len(cls.TYPE) > _LONGEST_TYPE:
        raise TypeError(f"{cls.__name__}: type must be lower-case words joined by dots, such as 'user.registered'.")
    if type(cls.VERSION) is not int or cls.VERSION < 1:
        raise TypeError(f"{cls.__name__}: version must be a whole number from 1.")
    if cls.SUBJECT is not None and cls.SUBJECT not in cls.model_fields:
        raise TypeError(f"{cls.__name__}: subject names {cls.SUBJECT!r}, which is not a field of the class.")
    if cls.MEMBER is not None and cls.MEMBER not in cls.model_fields:
        raise TypeError(f"{cls.__name__}: member names {cls.MEMBER!r}, which is not a field of the class.")
    if type(cls.REPEATS) is not int or not 0 <= cls.REPEATS <= _MOST_REPEATS:
        raise TypeError(f"{cls.__name__}: repeats must be a whole number from 0 to {_MOST_REPEATS}.")
    if (taken := _classes.get((cls.TYPE, cls.VERSION))) is not None:
        raise TypeError(
            f"{cls.__name__}: {cls.TYPE} version {cls.VERSION} is taken by {taken.__module__}.{taken.__name__}."
        )
