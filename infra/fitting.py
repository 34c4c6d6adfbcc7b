"""Data that somebody wrote by hand, as an event of a type: what would pass on the bus unseen is a mistake here."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from events.envelope import Event, event_types
from events.registry import families
from infra.errors import TidingsError

#: Where it is (as in `("data", "email")`), Pydantic's type of error, and its message.
Misfit = tuple[tuple[str | int, ...], str, str]


class DoesNotFit(TidingsError):
    """The data is not what events of this type hold, or there is no such type."""

    def __init__(self, errors: Sequence[Misfit]) -> None:
        """Remember the errors; the text names the first one's field, and nothing deeper, for keys may be personal."""
        (path, kind, _), *others = errors
        more = f" (and {len(others)} more)" if others else ""
        super().__init__(f"{_named(path[:2])}: {kind.replace('_', ' ')}{more}.")
        self.errors = list(errors)


class UnfitParameters(DoesNotFit):
    """What a job is to work on is not what its kind takes; the messages are of our own words and repeat no value."""

    def __str__(self) -> str:
        """What is wrong with the first one's field, and nothing deeper here either."""
        (path, _, message), *others = self.errors
        more = f" And {len(others)} more." if others else ""
        return f"{_named(path[:2])}: {message}{more}"

    @property
    def lines(self) -> list[str]:
        """All of them, each with its whole place: who typed it knows the keys."""
        return [f"{_named(path)}: {message}" for path, _, message in self.errors]


def event_of(event_type: str, data: dict[str, Any]) -> Event:
    """The event, of the newest version of its type.

    Raises:
        DoesNotFit: names each field that is wrong.
    """
    if of_a_family(event_type):
        message = "Jobs are asked for by POST /jobs, or ./tidings jobs run."
        raise DoesNotFit([(("type",), "asked_for_by_post_jobs", message)])
    if event_type not in event_types():
        raise DoesNotFit([(("type",), "unknown_type", "This program knows no events of this type.")])
    return fitting(event_types()[event_type], data)


def of_a_family(event_type: str) -> bool:
    """Whether it is a family of types, or a member of one: such events come about in a way of their own."""
    return any(f"{event_type}.".startswith(f"{family}.") for family in families())


def fitting(event_class: type[Event], data: dict[str, Any]) -> Event:
    """The same for a class that is known.

    Raises:
        DoesNotFit: names each field that is wrong.
    """
    # What an event passes over on the bus (a newer program's field) is a typing error here.
    unknown = sorted(set(data) - set(event_class.model_fields))
    if unknown:
        raise DoesNotFit([(("data", name), "extra_forbidden", "There is no such field.") for name in unknown])
    try:
        return event_class.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise DoesNotFit([(("data", *each["loc"]), each["type"], each["msg"]) for each in found]) from None
    except Exception as error:  # noqa: BLE001  # an event's own check may stumble in any way over such data
        name = type(error).__name__
        raise DoesNotFit([(("data",), name, f"The event's own check raised {name}.")]) from None


def too_large(size: object) -> DoesNotFit:
    """The data makes an event that no broker of ours takes; `size` says how large it is and may be."""
    return DoesNotFit([(("data",), "too_large", f"{size}.")])


def _named(path: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in path)
