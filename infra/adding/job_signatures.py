"""Whether the function of a kind of jobs takes and gives what its kind says: found out without calling it."""

import inspect
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from infra.jobs.kinds import Kind

#: Stand for what the function is given.
_PARAMETERS, _JOB = object(), object()
#: What counts as content of a file, whatever its media type.
_CONTENT = (str, bytes, bytearray, memoryview, Path)


def given() -> dict[str, object]:
    """What it is called with, and how that is spelled."""
    return {"(parameters": _PARAMETERS, "job)": _JOB}


def problems(kind: Kind) -> Iterator[str]:
    """What its annotations say that is not so, a line each."""
    first, result = _annotations(kind.handler)
    yield from _of_parameters(kind, first)
    yield from _of_result(kind, result)


def _annotations(handler: Callable[..., Any]) -> tuple[Any, Any]:
    """Those of its first parameter and of what it gives; `Any` for what is not said, or cannot be found out."""
    try:
        hints = typing.get_type_hints(handler if inspect.isroutine(handler) else type(handler).__call__)
        first = next(iter(inspect.signature(handler).parameters))
    except Exception:  # noqa: BLE001  # whatever stands there is evaluated: a name of TYPE_CHECKING alone, say
        return Any, Any
    return hints.get(first, Any), hints.get("return", Any)


def _of_parameters(kind: Kind, said: Any) -> Iterator[str]:
    if _is_open(said) or issubclass(kind.parameters, said):
        return
    yield f"it says that it gets {said.__name__}, and gets {kind.parameters.__name__}: name the same in parameters="


def _of_result(kind: Kind, said: Any) -> Iterator[str]:
    members = [each for each in _members(said) if each is not types.NoneType]
    if any(map(_is_open, members)):
        return
    if kind.result is None and members:
        yield f"it gives {_named(members)}, which nobody would see: say in result= what that is"
    elif isinstance(kind.result, type):
        if wrong := [each for each in members if not issubclass(each, (kind.result, dict))]:
            yield f"it says that it gives {_named(wrong)}, and result= is {kind.result.__name__}"
    elif wrong := [each for each in members if not issubclass(each, _CONTENT)]:
        yield f"it says that it gives {_named(wrong)}, and {kind.result} is made of str, bytes or a Path"


def _is_open(annotation: Any) -> bool:
    """Whether it names no class: in later versions of Python `Any` is one."""
    return annotation in {Any, object} or not isinstance(annotation, type)


def _members(annotation: Any) -> tuple[Any, ...]:
    if annotation is None:
        return ()
    is_union = typing.get_origin(annotation) in {typing.Union, types.UnionType}
    return typing.get_args(annotation) if is_union else (annotation,)


def _named(classes: list[type]) -> str:
    return " or ".join(each.__name__ for each in classes)
