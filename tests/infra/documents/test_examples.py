"""The example of an event type: data that its class takes, as a person might write them."""

from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Literal, Self
from uuid import UUID

import pytest
from pydantic import AwareDatetime, BaseModel, Field, model_validator

from events.envelope import event_types
from events.registry import Event, forget
from events.users import UserRegistered
from infra.documents.examples import example_of


class Colour(Enum):
    RED, BLUE = "red", "blue"


class Part(BaseModel):
    kind: Literal["part"] = "part"
    number: int


@pytest.fixture(autouse=True)
def odd() -> Iterator[None]:
    yield
    forget("odd.happened")


@pytest.mark.parametrize("event_type", sorted(event_types()))
def test_each_type_has_one(event_type: str) -> None:
    cls = event_types()[event_type]
    assert example_of(cls) is not None
    cls.model_validate(example_of(cls))


def test_it_is_made_of_the_schemas_own_examples() -> None:
    found = example_of(UserRegistered)
    assert found is not None
    assert ("Ada Lovelace", "ada@example.com") == (found["name"], found["email"])


def test_what_has_no_example_is_plain_and_within_its_bounds() -> None:
    class Odd(Event, type="odd.happened", version=1):
        colour: Colour
        count: int
        share: Annotated[float, Field(ge=0.5, le=0.75)]
        code: Annotated[str, Field(pattern="^[A-Z]{2}$")]
        owner: UUID
        seen: AwareDatetime | None
        parts: Annotated[list[Part], Field(min_length=1)]
        left_out: str = ""
        sizes: list[int] = Field(examples=[[3, 4]])

    found = example_of(Odd)
    assert found is not None
    assert ("red", 1, 0.5, "CZ", [3, 4]) == (
        found["colour"], found["count"], found["share"], found["code"], found["sizes"],
    )  # fmt: skip
    assert "left_out" not in found
    Odd.model_validate(found)


@pytest.mark.parametrize("pattern", ["^nobody thinks of this$", None])
def test_where_none_can_be_made_there_is_none(pattern: str | None) -> None:
    class Odd(Event, type="odd.happened", version=1):
        text: Annotated[str, Field(pattern=pattern)]

        @model_validator(mode="after")
        def _never(self) -> Self:
            raise ValueError

    assert example_of(Odd) is None
