"""What the function of a kind of jobs gives away before the first job: what would fail at each of them, or be lost."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from infra.adding.signatures import problems
from infra.errors import ConfigurationError
from infra.jobs.kinds import Job, job
from infra.subscriptions import forget, recorded


class Wanted(BaseModel):
    days: int = 7


class Wider(Wanted):
    more: str = ""


class Counted(BaseModel):
    lines: int


class Odd(BaseModel):
    called: Callable[[], None]


def of(handler: Callable[..., Any], **options: Any) -> str:
    """What is wrong, in one text."""
    try:
        job("counting", **{"parameters": Wanted, "result": "text/csv", **options})(handler)
        (made,) = [each for each in recorded() if each.consumer == "counting"]
        return "; ".join(problems(made))
    finally:
        forget("counting")


def plain(parameters: Wanted, job: Job) -> str:
    return ""


def perhaps(parameters: Wanted, job: Job) -> bytes | None:
    return None


def untyped(parameters, job):  # type: ignore[no-untyped-def]
    ...


def of_file(parameters: Wanted, job: Job) -> Path:
    return Path()


def counted(parameters: Wanted, job: Job) -> Counted:
    return Counted(lines=1)


def silent(parameters: Wanted, job: Job) -> None: ...


async def waiting(parameters: Wanted, job: Job) -> str:
    return ""


def of_wider(parameters: Wider, job: Job) -> str:
    return ""


def of_any_model(parameters: BaseModel, job: Job, more: int = 1) -> str:
    return ""


def alone(parameters: Wanted) -> str:
    return ""


def of_number(parameters: Wanted, job: Job) -> int:
    return 1


def yielding(parameters: Wanted, job: Job) -> Iterator[str]:
    yield ""


@pytest.mark.parametrize(
    "handler",
    [plain, perhaps, untyped, of_file, silent, waiting, of_any_model, functools.partial(of_any_model, more=2)],
)
def test_a_function_of_parameters_and_job_is_right(handler: Callable[..., Any]) -> None:
    assert "" == of(handler)


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        (alone, "called as handler(parameters, job), and cannot be: too many positional arguments"),
        (yielding, "has a `yield` in it"),
        (of_wider, "it says that it gets Wider, and gets Wanted: name the same in parameters="),
        (counted, "it says that it gives Counted, and text/csv is made of str, bytes or a Path"),
        (of_number, "it says that it gives int, and text/csv is made of str, bytes or a Path"),
    ],
)
def test_what_would_fail_at_each_job_is_told(handler: Callable[..., Any], problem: str) -> None:
    assert problem in of(handler)


@pytest.mark.parametrize(
    ("handler", "result", "problem"),
    [
        (plain, Counted, "it says that it gives str, and result= is Counted"),
        (counted, Counted, ""),
        (plain, None, "it gives str, which nobody would see: say in result= what that is"),
        (silent, None, ""),
        (perhaps, None, "it gives bytes, which nobody would see"),
    ],
)
def test_what_it_gives_must_be_what_its_kind_says(handler: Callable[..., Any], result: Any, problem: str) -> None:
    found = of(handler, result=result)
    assert problem in found
    assert bool(problem) == bool(found)


@pytest.mark.parametrize("role", ["parameters", "result"])
def test_a_model_that_has_no_json_schema_is_refused_at_once_and_named(role: str) -> None:
    with pytest.raises(ConfigurationError, match=f"counting: {role}=Odd has no JSON Schema: "):
        of(plain, **{role: Odd})
