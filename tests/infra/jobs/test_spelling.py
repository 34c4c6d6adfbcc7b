"""Parameters as people type them: `days=7` is a number where the kind takes numbers, and a text where it takes one."""

from typing import Any

import pytest
from pydantic import BaseModel

from infra.jobs import spelling
from tests.kinds import Report


class Odd(BaseModel):
    text: str | None = None
    number: float = 1.5
    either: int | str = ""
    flag: bool = False
    some: list[int] = []


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("text", "7", "7"),
        ("text", "null", None),
        ("text", "a=b", "a=b"),
        ("number", "2", 2),
        ("number", "2.5", 2.5),
        ("either", "7", 7),
        ("either", "x", "x"),
        ("flag", "true", True),
        ("flag", "yes", "yes"),  # which is refused with its name, as it would be over HTTP
        ("some", "[1, 2]", [1, 2]),
        ("unknown", "7", 7),
        ("unknown", "x", "x"),
    ],
)
def test_a_value_is_what_its_parameter_takes(name: str, typed: str, value: Any) -> None:
    assert {name: value} == spelling.read(Odd.model_json_schema(), [f"{name}={typed}"])


def test_a_choice_and_a_moment_are_texts() -> None:
    typed = {"layout": "html", "since": "2026-11-26T09:30:00Z", "code": "007"}
    assert typed == spelling.read(Report.model_json_schema(), [f"{name}={value}" for name, value in typed.items()])


def test_each_parameter_is_told_with_its_type_and_default() -> None:
    told = {each.name: (each.kind, each.default) for each in spelling.parameters(Report.model_json_schema())}
    assert ("date-time", "") == told["since"]
    assert ("integer", "7") == told["days"]
    assert ("csv|html", '"csv"') == told["layout"]
    assert ("email or null", "null") == told["to"]
    assert ("array", "[]") == told["parts"]
