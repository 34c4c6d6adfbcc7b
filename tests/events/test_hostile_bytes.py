"""Whatever comes over the bus: each kind of nonsense is one named error, never another, and never quotes the body."""

import json
import re
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events.envelope import Envelope, Event, announce, decode, encode
from events.errors import InvalidData, NewerVersion, NotJson, TooLarge, UndecodableEvent, UnknownType
from events.strict_json import DEEPEST
from tests.envelopes import ada

ADA = json.loads(encode(ada()))
SECRET = "Zq7-secret"


def spoiled(**attributes: Any) -> bytes:
    """Ada's registration with some attributes replaced, or left out where `...` is given."""
    return json.dumps({name: value for name, value in {**ADA, **attributes}.items() if value is not ...}).encode()


def data(**fields: Any) -> dict[str, Any]:
    """Ada's data with some fields replaced, or left out where `...` is given."""
    return {name: value for name, value in {**ADA["data"], **fields}.items() if value is not ...}


def beside(text: str) -> bytes:
    """Ada's registration with this JSON as one more attribute."""
    return json.dumps(ADA).removesuffix("}").encode() + b', "x": ' + text.encode() + b"}"


NOT_JSON = {
    "nothing": b"",
    "text": SECRET.encode(),
    "half an event": json.dumps(ADA).encode()[:-9],
    "two events": json.dumps(ADA).encode() * 2,
    "NaN": beside("NaN"),
    "Infinity": beside("-Infinity"),
    "overflow": beside("1e999"),
    "5,000 digits": beside("7" * 5_000),
    "deep nesting": b"[" * 100_000,
    "deep objects": beside('{"a":' * 5_000 + "1" + "}" * 5_000),
    "just too deep": beside("[" * DEEPEST + "]" * DEEPEST),
    "duplicate key": beside(f'{{"{SECRET}": 1, "{SECRET}": 2}}'),
    "duplicate id": json.dumps(ADA).encode().removesuffix(b"}") + b', "id": "1"}',
    "invalid UTF-8": beside('"\u00e9"').replace(b"\xc3\xa9", b"\xe9"),
    "raw surrogate": beside('"x"').replace(b'"x"}', b'"\xed\xa0\x80"}'),
    "lone high surrogate": beside(r'"\ud83d"'),
    "lone low surrogate in a key": beside(r'{"\uDE00": 1}'),
    "swapped surrogates": beside(r'"\ude00\ud83d"'),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(ADA).encode(),
    "UTF-16": json.dumps(ADA).encode("utf-16"),
    "raw line break in a string": beside('"\n"'),
    "single quotes": str(ADA).encode(),
    "pickle": b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x08" + SECRET.encode(),
}

INVALID = {
    "array": (b"[]", "not an object"),
    "null": (b"null", "not an object"),
    "string": (json.dumps(SECRET).encode(), "not an object"),
    "empty object": (b"{}", "specversion: not '1.0'"),
    "other version of CloudEvents": (spoiled(specversion="0.3"), "specversion: not '1.0'"),
    "specversion as a number": (spoiled(specversion=1.0), "specversion: not '1.0'"),
    "no id": (spoiled(id=...), "id: missing"),
    "id null": (spoiled(id=None), "id: missing"),
    "id is no UUID": (spoiled(id=SECRET), "id: not a UUID in canonical form"),
    "id in capitals": (spoiled(id=ADA["id"].upper()), "id: not a UUID in canonical form"),
    "id with a line break": (spoiled(id=ADA["id"] + "\n"), "id: not a UUID in canonical form"),
    "no type": (spoiled(type=...), "type: missing"),
    "type is a list": (spoiled(type=["user.registered"]), "type: not a string of 1 to 500 characters"),
    "empty type": (spoiled(type=""), "type: not a string of 1 to 500 characters"),
    "no source": (spoiled(source=...), "source: missing"),
    "empty source": (spoiled(source=""), "source: not a string of 1 to 500 characters"),
    "long source": (spoiled(source="/" * 501), "source: not a string of 1 to 500 characters"),
    "subject is a number": (spoiled(subject=7), "subject: not a string of 1 to 500 characters"),
    "subject with NUL": (spoiled(subject="a\0b"), "subject: not a string of 1 to 500 characters"),
    "no time": (spoiled(time=...), "time: missing"),
    "time without a zone": (spoiled(time="2026-11-22T09:30:00"), "time: not an RFC 3339 time"),
    "time as a week date": (spoiled(time="2026-W47-7T09:30:00Z"), "time: not an RFC 3339 time"),
    "31 February": (spoiled(time="2026-02-31T09:30:00Z"), "time: not an RFC 3339 time"),
    "before the year 1": (spoiled(time="0001-01-01T00:00:00+14:00"), "time: not an RFC 3339 time"),
    "time in other digits": (spoiled(time="2026-11-22T09:30:0\u0660Z"), "time: not an RFC 3339 time"),
    "time as a number": (spoiled(time=1), "time: not an RFC 3339 time"),
    "XML": (spoiled(datacontenttype="application/xml"), "datacontenttype: not 'application/json'"),
    "content type is a list": (spoiled(datacontenttype=[SECRET]), "datacontenttype: not 'application/json'"),
    "correlation is no UUID": (spoiled(correlationid=SECRET), "correlationid: not a UUID"),
    "causation is no UUID": (spoiled(causationid=0), "causationid: not a UUID"),
    "replaced event is no UUID": (spoiled(replayof="x"), "replayof: not a UUID"),
    "no schema": (spoiled(dataschema=...), "dataschema: missing"),
    "foreign schema": (spoiled(dataschema=f"https://{SECRET}/1"), "dataschema: not '/schemas/<type>/<version>'"),
    "schema of another type": (spoiled(dataschema="/schemas/day.ended/1"), "dataschema: not '/schemas/"),
    "version 0": (spoiled(dataschema="/schemas/user.registered/0"), "dataschema: not '/schemas/"),
    "version of many digits": (
        spoiled(dataschema="/schemas/user.registered/" + "9" * 400),
        "dataschema: not '/schemas/",
    ),
    "no data": (spoiled(data=...), "data: missing"),
    "data in base64": (spoiled(data=..., data_base64="e30="), "data: missing"),
    "data is a list": (spoiled(data=[SECRET]), "data: not an object"),
    "empty data": (spoiled(data={}), "data.user_id: missing (and 2 more)"),
    "no e-mail": (spoiled(data=data(email=...)), "data.email: missing"),
    "name is a number": (spoiled(data=data(name=7)), "data.name: string type"),
    "name is an object": (spoiled(data=data(name={SECRET: SECRET})), "data.name: string type"),
    "user id is no UUID": (spoiled(data=data(user_id=SECRET)), "data.user_id: uuid parsing"),
    "e-mail is none": (spoiled(data=data(email=SECRET)), "data.email: string pattern mismatch"),
}

OTHERS: dict[str, tuple[bytes, type[UndecodableEvent]]] = {
    "unknown type": (spoiled(type=f"{SECRET}.happened"), UnknownType),
    "unknown type of a foreign schema": (spoiled(type="order.paid", dataschema=None), UnknownType),
    "newer version": (spoiled(dataschema="/schemas/user.registered/2"), NewerVersion),
    "newer version with data of another shape": (
        spoiled(dataschema="/schemas/user.registered/9", data={}),
        NewerVersion,
    ),
    "300 KiB": (beside(json.dumps(SECRET * 30 * 1024)), TooLarge),
    "300 KiB of nothing": (b"\0" * 300 * 1024, TooLarge),
}


def refusal(body: bytes) -> UndecodableEvent:
    """The error of decoding this; anything else than an UndecodableEvent fails the test by itself."""
    with pytest.raises(UndecodableEvent) as caught:
        decode(body)
    report = "".join(traceback.format_exception(caught.value))
    assert SECRET not in report, "the error quotes the body"
    assert "Ada" not in report, "the error quotes the body"
    return caught.value


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_bytes_that_are_not_strict_json(body: bytes) -> None:
    """What RFC 8259 does not allow, or readers disagree about, is NotJson."""
    assert type(refusal(body)) is NotJson


@pytest.mark.parametrize(("body", "text"), INVALID.values(), ids=INVALID)
def test_json_that_is_no_event_of_ours(body: bytes, text: str) -> None:
    """InvalidData names the attribute or field, and the problem."""
    error = refusal(body)
    assert type(error) is InvalidData
    assert str(error).startswith(text)


@pytest.mark.parametrize(("body", "error"), OTHERS.values(), ids=OTHERS)
def test_other_refusals(body: bytes, error: type[UndecodableEvent]) -> None:
    """A type or a version that only a newer program knows, and size, each have their own name."""
    assert type(refusal(body)) is error


def test_reasons_are_durable_names() -> None:
    """Dead letters are stored and filtered under these words."""
    reasons = {error.reason for error in (NotJson, InvalidData, UnknownType, NewerVersion, TooLarge)}
    assert reasons == {"not-json", "invalid-data", "unknown-type", "newer-version", "too-large"}


@pytest.mark.parametrize(
    "body",
    [
        spoiled(),
        spoiled(subject=None, causationid=None, datacontenttype=None, traceparent=None),
        spoiled(datacontenttype="Application/JSON; charset=utf-8"),
        spoiled(tenant="blue", sequence=7),
        spoiled(data=data(nickname="Countess")),
        spoiled(time="2026-11-22t10:30:00.123456789+01:00"),
        beside("[" * (DEEPEST - 1) + "]" * (DEEPEST - 1)),
        beside("[" + "[]," * 10_000 + "[]]"),
        beside(r'"\ud83d\ude00 \\ud83d"'),
        b" \r\n" + spoiled() + b"\n",
    ],
)
def test_unusual_but_valid(body: bytes) -> None:
    """Null for absent, unknown extensions and fields, other spellings of a time, spaces: all CloudEvents allows."""
    assert decode(body).data == ada().data


def test_subject_is_what_the_wire_says() -> None:
    """The producer's word counts; absent means none."""
    assert decode(spoiled(subject="somebody")).subject == "somebody"
    assert decode(spoiled(subject=...)).subject is None


def test_absent_correlation_is_the_event_itself() -> None:
    """An event of a producer that knows nothing of our extensions begins a chain of its own."""
    envelope = decode(spoiled(correlationid=..., causationid=...))
    assert (envelope.correlation_id, envelope.causation_id) == (envelope.id, None)


def test_time_is_read_into_utc() -> None:
    """Digits below the microsecond are cut."""
    envelope = decode(spoiled(time="2026-11-22T10:30:00.123456789+01:00"))
    assert envelope.time.isoformat() == "2026-11-22T09:30:00.123456+00:00"


def test_validator_that_stumbles_is_invalid_data(throwaway: None) -> None:
    """An event's own code may raise anything and may quote its input; neither reaches the consumer's thread or log."""

    class NoteTaken(Event, type="note.taken", version=1):
        text: str

        def model_post_init(self, context: Any) -> None:
            raise KeyError(self.text) if self.text == SECRET else ValueError(self.text)

    with pytest.raises(KeyError):
        NoteTaken(text=SECRET)
    for text, problem in ((SECRET, "data: KeyError in NoteTaken"), ("Ada", "data: value error")):
        body = spoiled(type="note.taken", dataschema="/schemas/note.taken/1", data={"text": text})
        assert str(refusal(body)) == problem


def survives(body: bytes) -> None:
    """Decoding gives an envelope that can be sent on, or one of the named errors: never another exception."""
    try:
        envelope = decode(body)
    except UndecodableEvent as error:
        assert re.fullmatch(r"[ -~]{1,120}", str(error))  # noqa: PT017  # either way out is fine, another is not
    else:
        assert isinstance(envelope, Envelope)
        assert decode(encode(envelope)) == envelope


@given(st.binary(max_size=2_000))
def test_any_bytes(body: bytes) -> None:
    """No bytes raise anything else."""
    survives(body)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.dictionaries(st.sampled_from(sorted(ADA)), json_values),
    st.dictionaries(st.sampled_from(sorted(ADA["data"])), json_values),
)
def test_any_json_in_any_place(attributes: dict[str, Any], fields: dict[str, Any]) -> None:
    """No value of any type in any attribute or field raises anything else."""
    survives(spoiled(**{"data": data(**fields), **attributes}))


@given(st.integers(0, len(spoiled()) - 1), st.integers(0, 40), st.binary(max_size=40))
@example(0, 0, b"\xff")
def test_any_part_of_an_event_replaced(start: int, length: int, patch: bytes) -> None:
    """No damage to the bytes of a valid event raises anything else."""
    body = spoiled()
    survives(body[:start] + patch + body[start + length :])


@pytest.mark.parametrize("levels", [0, 500])
def test_depth_is_judged_the_same_from_a_deep_stack(levels: int) -> None:
    """Whether bytes are an event does not depend on who asks."""

    def from_depth(remaining: int, ask: Callable[[], object]) -> None:
        if remaining:
            from_depth(remaining - 1, ask)
        else:
            ask()

    from_depth(levels, lambda: decode(beside("[" * (DEEPEST - 1) + "]" * (DEEPEST - 1))))
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        with pytest.raises(NotJson, match="nested too deep"):
            from_depth(levels, lambda: decode(beside(opening * DEEPEST + "[]" + closing * DEEPEST)))  # noqa: B023


def test_event_announced_is_event_read() -> None:
    """The sanity of this file: unspoiled, its event decodes."""
    assert decode(spoiled()) == decode(encode(decode(spoiled())))
    assert announce(decode(spoiled()).data, source="/test").type == "user.registered"
