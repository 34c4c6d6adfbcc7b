"""Data made from a schema fits that schema, whatever Pydantic can say in one."""

import datetime as dt
import json
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal
from uuid import UUID

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field, HttpUrl, TypeAdapter

from infra.schemas import making
from infra.schemas.making import CannotBeMade


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Node(BaseModel):
    """It holds itself."""

    name: str
    children: list["Node"] = []
    other: "Node | None" = None


class Everything(BaseModel):
    """What an event's author may come to."""

    whole: int
    bounded: Annotated[int, Field(ge=3, le=4)]
    above: Annotated[float, Field(gt=0, lt=1)]
    below: Annotated[int, Field(le=-5)]
    even: Annotated[int, Field(multiple_of=2, ge=0)]
    text: Annotated[str, Field(min_length=250, max_length=300)]
    code: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    identity: UUID
    at: AwareDatetime
    day: dt.date
    clock: dt.time
    span: dt.timedelta
    colour: Colour
    literal: Literal["one", 2]
    only: Literal["this"]
    flag: bool
    nothing: None
    anything: Any
    numbers: Annotated[list[int], Field(min_length=2, max_length=3)]
    pair: tuple[int, str]
    unique: set[Colour]
    table: dict[str, dict[str, int]]
    either: int | str | list[bool]
    maybe: str | None = None
    tree: Node
    site: HttpUrl
    host: IPv4Address


SCHEMA = TypeAdapter(Everything).json_schema()
VALIDATOR = jsonschema_rs.validator_for(SCHEMA, validate_formats=True)


def faults(data: Any) -> list[str]:
    return [f"{error.instance_path}: {error.message}" for error in VALIDATOR.iter_errors(data)]


@given(st.integers())
def test_it_fits_the_schema_and_the_class_reads_it(seed: int) -> None:
    data = making.any_of(SCHEMA, seed)
    assert [] == faults(data)
    Everything.model_validate_json(json.dumps(data))


def test_the_smallest_leaves_out_what_it_may_and_the_fullest_nothing() -> None:
    smallest, fullest = making.smallest(SCHEMA), making.fullest(SCHEMA)
    assert ([], []) == (faults(smallest), faults(fullest))
    assert Everything.model_fields.keys() - {"maybe"} == smallest.keys()
    assert Everything.model_fields.keys() == fullest.keys()
    assert ({}, {"name"}) == (smallest["table"], smallest["tree"].keys())
    assert fullest["maybe"] is not None


def test_the_same_seed_makes_the_same_data_and_another_one_other_data() -> None:
    assert making.any_of(SCHEMA, "a/1") == making.any_of(SCHEMA, "a/1")
    assert making.any_of(SCHEMA, "a/1") != making.any_of(SCHEMA, "a/2")


def test_a_field_that_says_an_example_is_made_from_it() -> None:
    class Account(BaseModel):
        iban: Annotated[str, Field(pattern="^[A-Z]{2}[0-9]{4}$", examples=["CZ6508"])]

    assert {"iban": "CZ6508"} == making.smallest(Account.model_json_schema())


def test_a_pattern_that_nothing_comes_to_mind_for_is_told_with_its_field() -> None:
    class Account(BaseModel):
        owners: list[Annotated[str, Field(pattern="^#[0-9]{9}$")]]

    with pytest.raises(CannotBeMade, match=r"^data.owners.\*: no text comes to mind for the pattern"):
        making.fullest(Account.model_json_schema())
