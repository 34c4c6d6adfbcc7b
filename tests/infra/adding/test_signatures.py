"""What a handler's signature gives away before the first event comes: what would fail at each of them."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, TypeVar

import pytest

from events.clock import DayEnded
from events.envelope import Event
from events.users import UserRegistered, UserWeekPassed
from infra.adding.signatures import problems
from infra.subscriptions import Batch, Context, Subscription

E = TypeVar("E", bound=Event)


def of(handler: Callable[..., Any], *types: str, **options: Any) -> str:
    """What is wrong, in one text."""
    return "; ".join(problems(Subscription("sms", types or ("user.registered",), handler, **options)))


def plain(event: UserRegistered, context: Context) -> None: ...


def open_to_all(event: Event, context: Context) -> None: ...


def untyped(event, context):  # type: ignore[no-untyped-def]
    ...


def of_two(event: UserRegistered | UserWeekPassed, context: Context) -> None: ...


def of_bound(event: E, context: Context) -> None: ...


def with_more(event: UserRegistered, context: Context, number: int = 3, *rest: object, **others: object) -> None: ...


async def waiting(event: UserRegistered, context: Context) -> None: ...


def many(batch: Sequence[Context]) -> None: ...


async def many_waiting(batch: list[Context]) -> None: ...


def too_few(event: UserRegistered) -> None: ...


def too_many(event: UserRegistered, context: Context, database: object) -> None: ...


def by_keyword(event: UserRegistered, context: Context, *, database: object) -> None: ...


def yielding(event: UserRegistered, context: Context) -> Iterator[None]:
    yield


async def yielding_later(event: UserRegistered, context: Context) -> AsyncIterator[None]:
    yield


def of_day(event: DayEnded, context: Context) -> None: ...


def of_text(event: str, context: Context) -> None: ...


def swapped(context: Context, event: UserRegistered) -> None: ...


def many_events(batch: Sequence[UserRegistered]) -> None: ...


def one_event(event: UserRegistered) -> None: ...


class Waiting:
    async def __call__(self, event: UserRegistered, context: Context) -> None: ...


class Ready:
    def __call__(self, event: UserRegistered, context: Context) -> None: ...


async def later(event: UserRegistered) -> bool:
    return True


@pytest.mark.parametrize(
    "handler",
    [plain, open_to_all, untyped, of_bound, with_more, waiting, Ready(), functools.partial(with_more, number=4)],
)
def test_a_handler_of_event_and_context_is_right(handler: Callable[..., Any]) -> None:
    assert "" == of(handler)


@pytest.mark.parametrize("handler", [many, many_waiting])
def test_a_handler_of_a_batch_is_right(handler: Callable[..., Any]) -> None:
    assert "" == of(handler, batch=Batch())


def test_a_union_names_each_type_that_it_subscribes_to() -> None:
    assert "" == of(of_two, "user.registered", "user.week.passed")


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        (too_few, "called as handler(event, context), and cannot be: too many positional arguments"),
        (too_many, "cannot be: missing a required argument: 'database'"),
        (by_keyword, "cannot be: missing a required"),
        (many, "called as handler(event, context)"),
        (yielding, "has a `yield` in it"),
        (yielding_later, "has a `yield` in it"),
        (Waiting(), "an object with an async __call__"),
        (Ready, "its handler is a class"),
        (of_text, "gets something that is no event"),
        (swapped, "gets something that is no event"),
        (of_day, "gets DayEnded, which it does not subscribe to: add it to `to`"),
        (of_two, "gets UserWeekPassed, which it does not subscribe to"),
    ],
)
def test_what_would_fail_at_each_event_is_told(handler: Callable[..., Any], problem: str) -> None:
    assert problem in of(handler)


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        (plain, "called as handler(batch), and cannot be: missing a required argument: 'context'"),
        (one_event, "is given a list of contexts and says that it gets events"),
        (many_events, "is given a list of contexts and says that it gets events"),
    ],
)
def test_a_batch_is_one_list_of_contexts(handler: Callable[..., Any], problem: str) -> None:
    assert problem in of(handler, batch=Batch())


def test_a_type_that_the_handler_does_not_expect_is_told() -> None:
    assert "it subscribes to day.ended too" in of(plain, "user.registered", "day.ended")
    told = of(plain, "#")  # three of them by name, whichever types there are here
    assert told.startswith("it subscribes to cleaning.ended, cleaning.requested, ")
    assert " … too, which its handler does not say that it gets" in told


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        (lambda event: True, ""),
        (bool, ""),
        ("yes", "its where= is no function"),
        (later, "its where= is async"),
        (lambda: True, "its where= is called as where(event), and cannot be"),
        (lambda event, context: True, "missing a required argument: 'context'"),
    ],
)
def test_a_guard_is_a_plain_function_of_the_event(where: Any, problem: str) -> None:
    found = of(plain, where=where)
    assert problem in found
    assert bool(problem) == bool(found)


def test_what_it_publishes_must_be_registered() -> None:
    assert "" == of(plain, publishes=("day.ended",))
    assert "it publishes sms.sent, of which no class is registered" in of(plain, publishes=("sms.sent",))
