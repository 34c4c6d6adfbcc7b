"""The fields of a schema as people read them."""

from enum import Enum
from typing import Annotated, Any

import pytest
from pydantic import AwareDatetime, BaseModel, Field

from events.users import UserRegistered
from infra.documents import fields
from infra.documents.fields import fields_of
from infra.schemas.rendering import render


class Colour(Enum):
    RED, BLUE = "red", "blue"


class Place(BaseModel):
    street: str = Field(description="With its number.")
    after: "Place | None" = None


class Odd(BaseModel):
    place: Place
    colour: Colour = Field(description="Of the door.")
    rooms: list[int] = Field(min_length=1, max_length=9)
    size: Annotated[float, Field(gt=0, multiple_of=0.5)]
    seen: AwareDatetime | None = None
    prices: dict[str, int] = {}
    pets: list[Place] = []
    anything: Any = None


def lines(schema: dict[str, Any]) -> dict[str, fields.Field]:
    return {each.name: each for each in fields_of(schema)}


def test_each_field_is_a_line_and_those_of_an_object_in_it_follow() -> None:
    names = list(lines(Odd.model_json_schema()))
    assert ["place", "place.street", "place.after", "place.after.street"] == names[:4]
    assert "pets.street" in names


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("place", "object"),
        ("place.after", "object or null"),
        ("colour", "`red` or `blue`"),
        ("rooms", "list of whole numbers"),
        ("size", "number"),
        ("seen", "text or null"),
        ("prices", "object of whole numbers"),
        ("pets", "list of objects"),
        ("anything", "anything"),
    ],
)
def test_what_it_holds_is_said_in_words(name: str, kind: str) -> None:
    assert kind == lines(Odd.model_json_schema())[name].kind


def test_what_is_required_its_format_its_meaning_and_its_bounds_are_told() -> None:
    found = lines(Odd.model_json_schema())
    assert (True, "Of the door.") == (found["colour"].is_required, found["colour"].description)
    assert (False, "date-time") == (found["seen"].is_required, found["seen"].format)
    assert "1 to 9 of them." == found["rooms"].description
    assert "Above 0. A multiple of 0.5." == found["size"].description
    assert "With its number." == found["place.street"].description
    assert "At most 254 characters." == lines(render(UserRegistered))["email"].description


def test_a_schema_that_says_nothing_and_one_that_refers_to_nothing_have_no_end_and_no_error() -> None:
    assert [] == fields_of({})
    loop = {"properties": {"me": {"$ref": "#/$defs/Me"}}, "$defs": {"Me": {"$ref": "#/$defs/Me"}}}
    assert ["me"] == [each.name for each in fields_of(loop)]
    assert ["anything"] == [each.kind for each in fields_of({"properties": {"x": {"$ref": "#/$defs/Gone"}}})]
