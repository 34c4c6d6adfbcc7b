"""The JSON Schema of an event: what stands in it, and that it says what the class does."""

import json

import jsonschema_rs
import pytest
from hypothesis import given

from events.envelope import Event, event_types
from events.health import HealthChanged
from events.users import ReminderPageEnded, UserRegistered
from infra.schemas.rendering import render, written
from tests.envelopes import events


def test_schema_is_named_as_events_name_it() -> None:
    schema = render(UserRegistered)
    assert "https://json-schema.org/draft/2020-12/schema" == schema["$schema"]
    assert "/schemas/user.registered/1" == schema["$id"]
    assert "user_id" == schema["x-subject"]
    assert ["user_id", "name", "email"] == list(schema["properties"]) == schema["required"]
    assert "x-subject" not in render(ReminderPageEnded)


@pytest.mark.parametrize("cls", event_types().values(), ids=event_types())
def test_schema_is_one_by_the_metaschema(cls: type[Event]) -> None:
    assert jsonschema_rs.meta.is_valid(render(cls))


@given(events)
def test_what_an_event_writes_fits_its_schema(event: Event) -> None:
    """A program in another language that checks by the schema takes every event of ours."""
    assert [] == [
        error.message
        for error in jsonschema_rs.validator_for(render(type(event))).iter_errors(json.loads(event.model_dump_json()))
    ]


def test_text_of_a_schema_is_sorted_and_ends_in_a_line() -> None:
    """It stands in git, and the same schema must be the same text."""
    assert '{\n  "a": [\n    "ä"\n  ],\n  "b": 1\n}\n' == written({"b": 1, "a": ["ä"]})


def test_what_an_event_asks_of_its_subject_stands_in_the_schema() -> None:
    """Empty, too long or with a control character it is refused, so the schema must not allow it."""
    subject = render(HealthChanged)["properties"]["component"]
    validator = jsonschema_rs.validator_for(subject)
    assert [True, False, False, False] == [validator.is_valid(text) for text in ("smtp", "", "x" * 501, "a\nb")]
    assert "pattern" not in render(UserRegistered)["properties"]["user_id"]
