"""Parameters against the JSON Schema that a kind's consumer left."""

from collections.abc import Callable
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, EmailStr, Field

from infra.database import consumers
from infra.database.engine import Database
from infra.fitting import DoesNotFit
from infra.jobs import checking
from tests import kinds

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Csv(BaseModel):
    """One of several."""

    form: Literal["csv"]
    separator: str = Field(default=",", max_length=1)


class Page(BaseModel):
    """The other."""

    form: Literal["page"]
    charts: bool = True


class Node(BaseModel):
    """A model that holds itself."""

    name: str
    inner: "Node | None" = None


class Parameters(BaseModel, extra="forbid"):
    """What Pydantic writes in ways of its own."""

    layout: Annotated[Csv | Page, Field(discriminator="form")] | None = None
    size: int | Literal["all"] = "all"
    tree: Node | None = None
    weights: dict[str, float] = {}
    pair: tuple[int, str] = (1, "")
    mail_to: EmailStr | None = None
    constant: Literal[7] = 7


def wrong(database: Database, parameters: dict[str, Any], model: type[BaseModel] = Parameters) -> list[Any]:
    """Fields that are refused, without the place of them all."""
    kinds.declare(database, kinds.subscription("kind", model))
    with database.reading() as session:
        kind = checking.find(session, "kind")
    try:
        kind.check(parameters)
    except DoesNotFit as error:
        return [(".".join(map(str, place[1:])), message) for place, _, message in error.errors]
    return []


class About(BaseModel):
    """A job about somebody."""

    user_id: UUID


@pytest.mark.parametrize("spelling", [str.upper, lambda text: text.replace("-", ""), lambda text: f"{{{text}}}"])
def test_of_a_uuid_one_spelling_is_taken_as_by_another_one_nothing_would_be_found(
    database: Database, spelling: Callable[[str], str]
) -> None:
    one = "0b0c5d5e-8f3a-4c6e-9d3e-2a1b3c4d5e6f"
    assert [] == wrong(database, {"user_id": one}, About)
    expected = [("user_id", "This must be a UUID in small letters, with its hyphens.")]
    assert expected == wrong(database, {"user_id": spelling(one)}, About)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"layout": {"form": "csv", "separator": ";"}, "size": 5, "constant": 7},
        {"layout": None, "size": "all", "tree": {"name": "a", "inner": {"name": "b"}}},
        {"weights": {"": 1, "any": 2.5}, "pair": [1, "x"]},
    ],
)
def test_what_fits_is_taken(database: Database, parameters: dict[str, Any]) -> None:
    assert [] == wrong(database, parameters)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"tree": {"name": "a", "inner": {"name": 5}}}, ("tree.inner.name", "This must be a string.")),
        ({"tree": {"inner": None}}, ("tree.name", "This is required.")),
        ({"tree": {"name": "a", "size": 1}}, ("tree.size", "There is no such field; is it a typing error?")),
        ({"weights": {"a": "b"}}, ("weights.a", "This must be a number.")),
        ({"mail_to": "Ada"}, ("mail_to", "This must be an e-mail address.")),
        ({"constant": 8}, ("constant", "This must be 7.")),
        ({"pair": [1]}, ("pair", "This must have at least 2 items.")),
        ({"layout": {"form": "pdf"}}, ("layout", "This fits none of the forms that the kind takes.")),
        ({"layout": 5}, ("layout", "This fits none of the forms that the kind takes.")),
    ],
)
def test_what_does_not_is_named(database: Database, parameters: dict[str, Any], expected: tuple[str, str]) -> None:
    assert [expected] == wrong(database, parameters)


def test_a_kind_that_is_declared_anew_is_checked_by_what_it_says_now(database: Database) -> None:
    assert [] == wrong(database, {"extra": 1}, kinds.Anything)
    assert ["extra"] == [field for field, _ in wrong(database, {"extra": 1})]


def test_a_consumer_that_does_no_jobs_is_no_kind(database: Database) -> None:
    with database.transaction() as session:
        consumers.declare(session, [kinds.plain("welcome-email")])
        assert checking.described(session, "welcome-email") is None
