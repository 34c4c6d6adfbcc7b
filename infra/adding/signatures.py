"""Whether a handler can be called as it will be, and whether it says so itself: found out without calling it."""

import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

from events.envelope import Event, event_types
from infra.adding import job_signatures
from infra.jobs.kinds import kind_of
from infra.subscriptions import EVERY_TYPE, Subscription

#: Stand for what a handler is given.
_EVENT, _CONTEXT = object(), object()


def problems(subscription: Subscription) -> list[str]:
    """What is wrong with a consumer's handler, guard and declared events, or a kind's function, a line each."""
    if (kind := kind_of(subscription)) is not None:
        called = _of_calling(kind.handler, job_signatures.given())
        return [*called, *job_signatures.problems(kind), *_of_published(subscription)]
    return [
        *_of_calling(subscription.handler, _arguments(subscription)),
        *_of_annotations(subscription),
        *_of_guard(subscription),
        *_of_published(subscription),
    ]


def _arguments(subscription: Subscription) -> dict[str, object]:
    """What it is given, and how that is called."""
    return {"(batch)": [_CONTEXT]} if subscription.batch else {"(event": _EVENT, "context)": _CONTEXT}


def _of_calling(handler: Callable[..., Any], given: dict[str, object]) -> Iterator[str]:
    if inspect.isclass(handler):
        yield "its handler is a class, and would only be made: subscribe a function"
        return
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        yield "its handler has a `yield` in it, so that calling it does nothing: take that out"
    if not inspect.isroutine(handler) and inspect.iscoroutinefunction(type(handler).__call__):
        yield "its handler is an object with an async __call__, which nobody would await: subscribe an async function"
    try:
        inspect.signature(handler).bind(*given.values())
    except TypeError as error:
        yield f"its handler is called as handler{', '.join(given)}, and cannot be: {error}"
    except ValueError:
        return  # something built in that does not say what it takes


def _of_annotations(subscription: Subscription) -> Iterator[str]:
    first = _first_annotation(subscription.handler)
    if first is None:
        return
    classes = _event_classes(first)
    if subscription.batch:
        if classes or any(_event_classes(each) for each in typing.get_args(first)):
            yield "its handler is given a list of contexts and says that it gets events: batch: Sequence[Context]"
        return
    if classes is None:
        yield "its handler says that it gets something that is no event: event: UserRegistered, say"
        return
    if Event in classes or not classes:
        return
    yield from _of_classes(subscription, {cls.TYPE: cls for cls in classes})


def _of_classes(subscription: Subscription, said: dict[str, type[Event]]) -> Iterator[str]:
    known = event_types()
    taken = tuple(known) if subscription.types == (EVERY_TYPE,) else subscription.types
    for name, cls in said.items():
        if name not in taken:
            yield f"its handler says that it gets {cls.__name__}, which it does not subscribe to: add it to `to`"
        elif known.get(name) not in {None, cls}:
            yield f"its handler says that it gets version {cls.VERSION} of {name}, and gets {known[name].VERSION}"
    if missing := [name for name in taken if name not in said]:
        listed = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        yield f"it subscribes to {listed} too, which its handler does not say that it gets: add that to the annotation"


def _first_annotation(handler: Callable[..., Any]) -> Any:
    """What the first parameter says that it is; None if nothing, or nothing that can be found out."""
    try:
        function = handler if inspect.isroutine(handler) else type(handler).__call__
        hints = typing.get_type_hints(function)
        first = next(iter(inspect.signature(handler).parameters))
    except Exception:  # noqa: BLE001  # whatever stands there is evaluated: a name of TYPE_CHECKING alone, say
        return None
    return hints.get(first)


def _event_classes(annotation: Any) -> tuple[type[Event], ...] | None:
    """The event classes that an annotation names: none if it leaves it open; None if it is about something else."""
    if isinstance(annotation, typing.TypeVar):
        annotation = annotation.__bound__ or Any
    if annotation in {Any, object}:
        return ()
    is_union = typing.get_origin(annotation) in {typing.Union, types.UnionType}
    members = typing.get_args(annotation) if is_union else (annotation,)
    classes = tuple(each for each in members if isinstance(each, type) and issubclass(each, Event))
    return classes or None


def _of_guard(subscription: Subscription) -> Iterator[str]:
    guard: Any = subscription.where
    if guard is None:
        return
    if not callable(guard):
        yield "its where= is no function: where=lambda event: …"
        return
    if inspect.iscoroutinefunction(guard):
        yield "its where= is async, and what that gives counts as a yes to all: make it a plain function"
    try:
        inspect.signature(guard).bind(_EVENT)
    except TypeError as error:
        yield f"its where= is called as where(event), and cannot be: {error}"
    except ValueError:
        return  # something built in, as above


def _of_published(subscription: Subscription) -> Iterator[str]:
    unknown = sorted(set(subscription.publishes or ()) - set(event_types()))
    if unknown:
        yield f"it publishes {', '.join(unknown)}, of which no class is registered: is it in a file of events/?"
