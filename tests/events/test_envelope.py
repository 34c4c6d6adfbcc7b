"""An event on the wire: what it looks like, and that it comes back as it went."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st

from events.envelope import MAX_BYTES, Envelope, Event, announce, decode, encode
from events.errors import TooLarge
from events.users import UserRegistered
from tests.envelopes import TRACEPARENT, ada, envelopes, moments

ADA = UserRegistered(user_id=UUID(int=1), name="Ada Lovelace", email="ada@example.com")


@given(envelopes)
def test_round_trip(envelope: Envelope) -> None:
    """Every envelope comes back from the wire equal to itself."""
    assert decode(encode(envelope)) == envelope


@given(envelopes)
def test_cloudevents_sdk_reads_our_bytes(envelope: Envelope) -> None:
    """The SDK of the CloudEvents project sees the same attributes and data, by its own validation."""
    theirs = JSONFormat().read(None, encode(envelope))
    assert theirs.get_specversion() == "1.0"
    assert (theirs.get_id(), theirs.get_type(), theirs.get_source()) == (envelope.id, envelope.type, envelope.source)
    assert (theirs.get_subject(), theirs.get_time()) == (envelope.subject, envelope.time)
    assert theirs.get_datacontenttype() == "application/json"
    assert theirs.get_extension("correlationid") == envelope.correlation_id
    assert theirs.get_extension("causationid") == envelope.causation_id
    assert theirs.get_extension("causationtypes") == envelope.causation_types
    assert theirs.get_data() == envelope.data.model_dump(mode="json")


def test_cloudevents_sdk_reads_our_bytes_over_http() -> None:
    """Structured mode: the whole event is the body, as in our AMQP messages."""
    message = HTTPMessage(headers={"content-type": "application/cloudevents+json"}, body=encode(ada()))
    assert from_structured_event(message, JSONFormat()).get_type() == "user.registered"


@given(envelopes)
def test_we_read_the_bytes_of_the_cloudevents_sdk(envelope: Envelope) -> None:
    """What the SDK writes of our event (spaces, escapes and all) is the same event to us."""
    theirs = JSONFormat()
    assert decode(theirs.write(theirs.read(None, encode(envelope)))) == envelope


def test_wire_form_is_written_out() -> None:
    """Names, order and spelling of the attributes, which others rely on; nothing is written of what is None."""
    envelope = announce(
        ADA,
        source="/gateway",
        id="01936f1e-7a00-7000-8000-000000000001",
        time=datetime(2026, 11, 22, 9, 30, 0, 123456, tzinfo=UTC),
    )
    assert encode(envelope).decode() == (
        '{"specversion":"1.0","id":"01936f1e-7a00-7000-8000-000000000001","type":"user.registered","source":"/gateway",'
        '"subject":"00000000-0000-0000-0000-000000000001","time":"2026-11-22T09:30:00.123456Z",'
        '"datacontenttype":"application/json","dataschema":"/schemas/user.registered/1",'
        '"correlationid":"01936f1e-7a00-7000-8000-000000000001",'
        '"data":{"user_id":"00000000-0000-0000-0000-000000000001","name":"Ada Lovelace","email":"ada@example.com"}}'
    )


def test_wire_form_of_an_effect_of_another_event() -> None:
    """Cause, causes and trace stand between correlationid and data."""
    own = ["correlationid", "causationid", "causationtypes", "traceparent", "data"]
    assert own == list(json.loads(encode(ada())))[-5:]


def test_letters_of_all_languages_are_readable_on_the_wire() -> None:
    """An operator reads names in the management UI, not escapes."""
    event = ADA.model_copy(update={"name": "Žofie Ćosić 李"})
    assert "Žofie Ćosić 李".encode() in encode(announce(event, source="/gateway"))


def test_first_event_is_its_own_correlation() -> None:
    """Without a cause: correlation id = own id, no causation id."""
    envelope = announce(ADA, source="/gateway")
    assert (envelope.correlation_id, envelope.causation_id) == (envelope.id, None)


def test_causes_form_a_chain() -> None:
    """Each event names its direct cause, and all of a chain bear the first one's id."""
    first = announce(ADA, source="/gateway", traceparent=TRACEPARENT)
    second = announce(ADA, source="/consumers", cause=first)
    third = announce(ADA, source="/consumers", cause=second)
    assert [event.causation_id for event in (first, second, third)] == [None, first.id, second.id]
    assert {event.correlation_id for event in (first, second, third)} == {first.id}
    assert {event.traceparent for event in (first, second, third)} == {TRACEPARENT}


def test_own_trace_goes_before_the_cause_s() -> None:
    """A given traceparent is the span that announces; the cause's is only the fallback."""
    own = TRACEPARENT.replace("b7ad", "c8be")
    cause = announce(ADA, source="/gateway", traceparent=TRACEPARENT)
    assert announce(ADA, source="/consumers", cause=cause, traceparent=own).traceparent == own


@pytest.mark.parametrize(
    "invalid",
    ["", "garbage", TRACEPARENT.upper(), "ff" + TRACEPARENT[2:], f"00-{'0' * 32}-{'1' * 16}-01", TRACEPARENT + "\n", 7],
)
def test_invalid_traceparent_is_dropped(invalid: Any) -> None:
    """W3C Trace Context: restart the trace; a request must not fail for its telemetry."""
    assert announce(ADA, source="/gateway", traceparent=invalid).traceparent is None
    body = json.dumps({**json.loads(encode(ada())), "traceparent": invalid}).encode()
    assert decode(body).traceparent is None


def test_ids_are_uuid7_and_sort_by_time() -> None:
    """New ids only grow within a process, so tables that are keyed by them grow at their end."""
    ids = [announce(ADA, source="/gateway").id for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert {UUID(own_id).version for own_id in ids} == {7}


@given(moments, st.integers(-23, 23))
def test_times_are_utc_on_the_wire(moment: datetime, hours: int) -> None:
    """Whatever zone a moment was given in, the wire and the envelope say it in UTC."""
    there = moment.replace(year=2028).astimezone(timezone(timedelta(hours=hours)))
    envelope = announce(ADA, source="/gateway", time=there)
    assert envelope.time.tzinfo is UTC
    assert json.loads(encode(envelope))["time"] == there.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.mark.parametrize(
    "wrong",
    [
        {"source": ""},
        {"source": "a\nb"},
        {"id": "1"},
        {"id": str(UUID(int=10)).upper()},
        {"time": datetime(2026, 1, 1)},  # noqa: DTZ001  # the very mistake
    ],
)
def test_announce_refuses_what_could_not_be_read_again(wrong: dict[str, Any]) -> None:
    """No usable source, no canonical id, a time without a zone: a ValueError at the one who announces."""
    with pytest.raises(ValueError, match="must"):
        announce(ADA, **{"source": "/gateway", **wrong})


def test_text_form_never_shows_the_data() -> None:
    """An envelope may stand in a log line; a person's name and address may not."""
    assert "Ada" not in repr(ada())
    assert "user.registered" in repr(ada())


def test_largest_event_is_256_kib(throwaway: None) -> None:
    """Exactly MAX_BYTES pass both ways; one byte more is TooLarge on either side."""

    class NoteTaken(Event, type="note.taken", version=1):
        text: str

    room = MAX_BYTES - len(encode(announce(NoteTaken(text=""), source="/test")))
    largest = encode(announce(NoteTaken(text="x" * room), source="/test"))
    assert len(largest) == MAX_BYTES
    assert isinstance(decode(largest).data, NoteTaken)
    with pytest.raises(TooLarge):
        encode(announce(NoteTaken(text="x" * (room + 1)), source="/test"))
    with pytest.raises(TooLarge):
        decode(largest + b" ")


def test_what_an_edited_event_replaces_is_said_and_left_out_when_there_is_nothing() -> None:
    edited = replace(ada(), replay_of=str(UUID(int=7)))
    assert edited == decode(encode(edited))
    assert edited.replay_of == JSONFormat().read(None, encode(edited)).get_extension("replayof")
    assert b"replayof" not in encode(ada())
