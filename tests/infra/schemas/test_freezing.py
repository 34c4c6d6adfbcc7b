"""Freezing types of the test's own: what is written, what may change, and what is refused."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, model_validator

from events import registry
from events.envelope import Event, upcaster
from infra.errors import ConfigurationError
from infra.schemas import checking, freezing, frozen
from infra.schemas.checking import Problem

pytestmark = pytest.mark.usefixtures("throwaway")
Types = list[type[Event]]


def paid(version: int = 1, **fields: Any) -> type[Event]:
    """A class of orders that were paid, in place of the one before of this version."""
    registry._classes.pop(("order.paid", version), None)
    annotations = {"number": int, **{name: field[0] for name, field in fields.items()}}
    defaults = {name: field[1] for name, field in fields.items() if len(field) > 1}
    body = {"__annotations__": annotations, "__module__": __name__, **defaults}
    return type("OrderPaid", (Event,), body, type="order.paid", version=version)


def freeze(folder: Path, *classes: type[Event]) -> list[str]:
    """Freeze them; gives the verdicts."""
    judged = freezing.judge(classes, folder)
    freezing.freeze(judged, folder)
    return [each.verdict for each in judged]


def texts(folder: Path, *classes: type[Event]) -> list[str]:
    return [each.text for each in checking.problems(classes, folder)]


def files(folder: Path) -> dict[str, str]:
    return {str(each.relative_to(folder)): each.read_text() for each in folder.rglob("*.json")}


def test_a_new_class_is_frozen_with_samples_and_then_is_the_same(tmp_path: Path) -> None:
    cls = paid(euros=(float,))
    assert ["new"] == freeze(tmp_path, cls)
    assert {"order.paid/1.json", "order.paid/1.samples.json"} == files(tmp_path).keys()
    assert 2 <= len(json.loads(files(tmp_path)["order.paid/1.samples.json"]))
    assert ["same"] == freeze(tmp_path, cls)
    assert [] == texts(tmp_path, cls)


def test_the_same_class_makes_the_same_files(tmp_path: Path) -> None:
    """Two people who freeze on their branches have no conflict."""
    cls = paid(euros=(float,), note=(str | None, None), tags=(list[str], []), rates=(dict[str, int], {}))
    freeze(tmp_path / "one", cls)
    freeze(tmp_path / "other", cls)
    assert files(tmp_path / "one") == files(tmp_path / "other")


@pytest.mark.parametrize(
    ("fields", "change"),
    [
        ({"euros": (float,), "note": (str | None, None)}, ("data.note is new",)),
        ({"euros": (float, Field(description="Without tax."))}, ()),
    ],
    ids=["a field that may be left out", "other words"],
)
def test_what_is_harmless_is_frozen_again_and_the_samples_stay(
    tmp_path: Path, fields: dict[str, Any], change: tuple[str, ...]
) -> None:
    freeze(tmp_path, paid(euros=(float,)))
    before = files(tmp_path)
    changed = paid(**fields)
    assert [Problem("order.paid", 1, text) for text in texts(tmp_path, changed)] == [
        Problem(
            "order.paid", 1, "has changed since it was frozen, in a way that is allowed: run ./tidings events freeze."
        )
    ]
    assert change == freezing.judge([changed], tmp_path)[0].changes
    assert ["changed"] == freeze(tmp_path, changed)
    after = files(tmp_path)
    assert before["order.paid/1.samples.json"] == after["order.paid/1.samples.json"]
    assert before["order.paid/1.json"] != after["order.paid/1.json"]
    assert [] == texts(tmp_path, changed)


@pytest.mark.parametrize(
    ("fields", "change"),
    [
        ({}, "data.euros is gone"),
        ({"euros": (float,), "currency": (str,)}, "data.currency is new and required"),
        ({"euros": (int,)}, "data.euros type: 'number' became 'integer'"),
        ({"euros": (float, 0.0)}, "data.euros default: nothing became 0.0; data.euros may be missing now"),
        ({"euros": (float, Field(ge=0))}, "data.euros minimum: nothing became 0"),
    ],
    ids=["gone", "required", "type", "optional", "rule"],
)
def test_anything_else_is_refused_with_the_way_out(tmp_path: Path, fields: dict[str, Any], change: str) -> None:
    freeze(tmp_path, paid(euros=(float,)))
    before, changed = files(tmp_path), paid(**fields)
    assert ["broken"] == freeze(tmp_path, changed)
    assert before == files(tmp_path)
    assert texts(tmp_path, changed)[0] == (
        f"is frozen, and its class has changed: {change}. "
        "Take that back, or make version 2 and an upcaster from version 1."
    )


def test_old_versions_are_read_through_all_their_upcasters(tmp_path: Path) -> None:
    """Their classes are gone; the frozen samples say what they were."""
    for version, fields in ((1, {"euros": (str,)}), (2, {"cents": (int,)})):
        freeze(tmp_path, paid(version, **fields))
    registry._classes.clear()

    @upcaster("order.paid", 1)
    def in_cents(data: dict[str, Any]) -> dict[str, Any]:
        return {"number": data["number"], "cents": len(data["euros"])}

    @upcaster("order.paid", 2)
    def with_currency(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "currency": "EUR"}

    newest = paid(3, cents=(int,), currency=(str,))
    assert ["new"] == freeze(tmp_path, newest)
    assert [] == texts(tmp_path, newest)


def test_a_missing_upcaster_is_told_and_so_is_what_it_makes_unreadable(tmp_path: Path) -> None:
    freeze(tmp_path, paid(1, euros=(float,)))
    newest = paid(2, cents=(int,))
    freeze(tmp_path, newest)
    missing, unread = texts(tmp_path, newest)
    assert "no upcaster from version 1" == missing
    assert unread.endswith("the first is no. 1: dataschema: no upcaster of order.paid from version 1")


def test_an_upcaster_that_stumbles_over_some_samples_is_told_with_the_first_of_them(tmp_path: Path) -> None:
    freeze(tmp_path, paid(1, euros=(float | None, None)))
    newest = paid(2, cents=(int,))
    freeze(tmp_path, newest)
    upcaster("order.paid", 1)(lambda data: {"number": data["number"], "cents": int(data["euros"] * 100)})
    (text,) = texts(tmp_path, newest)
    assert text.endswith(("data: KeyError in OrderPaid", "data: TypeError in OrderPaid"))
    assert " samples cannot be read any more, the first is no. 1: " in text


def test_a_class_that_reads_no_more_what_it_was_frozen_with_is_told_though_its_schema_is_the_same(
    tmp_path: Path,
) -> None:
    """A validator is in no schema: only reading finds it."""
    freeze(tmp_path, paid(euros=(float,)))
    registry.forget("order.paid")

    class OrderPaid(Event, type="order.paid", version=1):
        number: int
        euros: float

        @model_validator(mode="after")
        def _is_not_free(self) -> "OrderPaid":
            if self.euros <= 0:
                raise ValueError("free")
            return self

    (text,) = texts(tmp_path, OrderPaid)
    assert text.endswith(": data: value error")


def test_samples_are_only_what_the_class_takes(tmp_path: Path) -> None:
    """A rule between two fields is in no schema, and Pydantic's schema of a decimal number is any text at all."""

    class SpanEnded(Event, type="span.ended", version=1):
        since: int | None = None
        until: int | None = None
        price: Decimal = Decimal(0)

        @model_validator(mode="after")
        def _both_or_none(self) -> "SpanEnded":
            if (self.since is None) != (self.until is None):
                raise ValueError("half")
            return self

    freeze(tmp_path, SpanEnded)
    assert [] == texts(tmp_path, SpanEnded)


def test_a_pattern_that_nothing_comes_to_mind_for_asks_for_samples_by_hand(tmp_path: Path) -> None:
    cls = paid(iban=(str, Field(pattern="^[A-Z]{2}[0-9]{22}$")))
    with pytest.raises(
        ConfigurationError, match=r"^order.paid/1: data.iban: no text comes to mind .* by hand|to events"
    ):
        freeze(tmp_path, cls)
    assert {} == files(tmp_path)
    (tmp_path / "order.paid").mkdir()
    (tmp_path / "order.paid" / "1.samples.json").write_text(json.dumps([{"number": 1, "iban": "CZ" + "1" * 22}]))
    assert ["new"] == freeze(tmp_path, cls)
    assert [] == texts(tmp_path, cls)


def test_what_is_frozen_and_has_no_class_or_an_older_one_is_told(tmp_path: Path) -> None:
    freeze(tmp_path, paid(2))
    registry.forget("order.paid")
    assert ["is frozen, but the newest class is of version 1"] == [
        text for text in texts(tmp_path, paid(1)) if "frozen, but" in text
    ]
    registry.forget("order.paid")
    (text,) = texts(tmp_path)
    assert text.startswith("is frozen, and no class reads it")


@pytest.mark.parametrize("content", ["", "[]", "nonsense", "null"])
def test_a_file_that_was_damaged_is_one_clear_line(tmp_path: Path, content: str) -> None:
    cls = paid()
    freeze(tmp_path, cls)
    (tmp_path / "order.paid" / "1.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"order.paid/1.json (cannot be read|does not hold).*: restore it"):
        frozen.every(tmp_path)


def test_samples_that_are_missing_are_made(tmp_path: Path) -> None:
    cls = paid()
    freeze(tmp_path, cls)
    (tmp_path / "order.paid" / "1.samples.json").unlink()
    assert ["has no frozen samples: run ./tidings events freeze."] == texts(tmp_path, cls)
    assert ["without-samples"] == freeze(tmp_path, cls)
    assert [] == texts(tmp_path, cls)
