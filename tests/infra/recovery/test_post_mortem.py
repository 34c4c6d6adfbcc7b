"""What is read from a dead message: whatever somebody put into its headers and bytes, there is a letter to keep."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.envelope import MAX_BYTES, Envelope, encode
from infra.database.letters import Letter
from infra.outcomes import Incoming, Park
from infra.rabbitmq.dead_letters import dead_message
from infra.rabbitmq.messages import event_message
from infra.recovery.post_mortem import Dead, read
from infra.version import version
from tests.envelopes import ada

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def parked(envelope: Envelope, **other: Any) -> dict[str, Any]:
    """The headers of a copy that a consumer of ours parked."""
    park = Park("too-old", "TimeoutError: no answer", "builtins.TimeoutError", "consumers/sms.py:7 in send", AT)
    message = event_message(envelope.id, envelope.type, encode(envelope))
    return dead_message(message, park, consumer="sms", attempt=4).headers | other


def by_broker(reason: str = "delivery_limit", queue: Any = "sms", **other: Any) -> dict[str, Any]:
    """The headers that the broker adds when it moves a message; it came by a tier before."""
    tier = {"queue": "retry.5s", "reason": "expired", "time": AT - timedelta(minutes=1), "count": 1}
    return {"x-death": [{"queue": queue, "reason": reason, "time": AT, "count": 1}, tier], **other}


def reading(body: bytes, headers: dict[str, Any], **other: Any) -> Dead:
    return read(Incoming(body, headers=headers, **other))


def test_what_a_consumer_parked_says_all_of_it() -> None:
    envelope = ada()
    dead = reading(encode(envelope), parked(envelope), attempt=4)
    letter = dead.letter
    assert ("sms", "too-old", "TimeoutError: no answer", 4) == (
        letter.consumer,
        letter.reason,
        letter.error,
        letter.attempts,
    )
    assert ("builtins.TimeoutError", "consumers/sms.py:7 in send", version()) == (
        letter.exception,
        letter.frame,
        letter.version,
    )
    assert (f"sms/{envelope.id}", envelope.type, envelope.subject, encode(envelope)) == (
        letter.key,
        letter.type,
        letter.subject,
        letter.body,
    )
    assert AT == letter.first_failed_at < letter.last_failed_at <= datetime.now(UTC)
    assert (None, False) == (dead.replayed, dead.is_claim)


def test_a_replay_that_failed_says_whose_it_was() -> None:
    envelope = ada()
    dead = reading(encode(envelope), parked(envelope), replay=True, dead_letter="a-letter")
    assert ("a-letter", True) == (dead.replayed, dead.letter.is_replay)


def test_what_the_broker_gave_up_is_of_the_queue_that_it_died_in_last() -> None:
    envelope = ada()
    letter = reading(encode(envelope), by_broker(), attempt=2).letter
    assert ("sms", "delivery-limit", 22, AT, AT, None, None) == (
        letter.consumer,
        letter.reason,
        letter.attempts,
        letter.first_failed_at,
        letter.last_failed_at,
        letter.exception,
        letter.frame,
    )


def test_what_the_broker_gave_up_is_not_believed_what_its_sender_said_of_its_end() -> None:
    envelope = ada()
    letter = reading(encode(envelope), parked(envelope) | by_broker(queue="other")).letter
    assert ("other", "delivery-limit", None, None) == (letter.consumer, letter.reason, letter.exception, letter.frame)


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"\xff{", "not-json"), (b"x" * (MAX_BYTES + 1), "too-large"), (b"{}", "invalid-data"), (None, "handler-error")],
)
def test_what_could_not_be_copied_keeps_the_reason_that_lies_in_its_bytes(body: bytes | None, reason: str) -> None:
    envelope = ada()
    letter = reading(encode(envelope) if body is None else body, by_broker("rejected")).letter
    assert ("sms", reason) == (letter.consumer, letter.reason)


def test_what_somebody_else_sent_is_of_nobody() -> None:
    envelope = ada()
    letter = reading(encode(envelope), {}).letter
    assert ("unknown", "invalid-data", f"unknown/{envelope.id}") == (letter.consumer, letter.reason, letter.key)
    assert "without a word" in letter.error
    assert letter.first_failed_at == letter.last_failed_at


def test_bytes_that_are_no_event_are_told_apart_by_their_hash_and_consumer() -> None:
    keys = {reading(body, by_broker(queue=queue)).letter.key for body in (b"a", b"b", b"a") for queue in ("x", "y")}
    assert 4 == len(keys)


def test_an_event_of_a_newer_version_claims_to_be_one() -> None:
    envelope = ada()
    newer = encode(envelope).replace(b"/schemas/user.registered/1", b"/schemas/user.registered/9")
    dead = reading(newer, parked(envelope) | {"x-tidings-reason": "newer-version"})
    letter = dead.letter
    assert (True, envelope.id, envelope.type, envelope.subject) == (
        dead.is_claim,
        letter.event_id,
        letter.type,
        letter.subject,
    )
    assert "#" in letter.key


@pytest.mark.parametrize(
    "claim", ['{"id": 3, "type": ["x"], "subject": "a\\u0000b"}', '["id"]', '{"id": "not-a-uuid"}']
)
def test_a_claim_that_makes_no_sense_is_passed_over(claim: str) -> None:
    dead = reading(claim.encode(), {})
    assert (None, None, None, False) == (dead.letter.event_id, dead.letter.type, dead.letter.subject, dead.is_claim)


@pytest.mark.parametrize(
    "moment",
    ["", "yesterday", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1066-10-14", 7, b"2026", None],
)
def test_a_time_that_no_clock_has_shown_is_now(moment: Any) -> None:
    envelope = ada()
    headers = parked(envelope) | {"x-tidings-failed-at": moment, "x-tidings-first-failed-at": moment}
    before = datetime.now(UTC)
    letter = reading(encode(envelope), headers).letter
    assert before <= letter.first_failed_at == letter.last_failed_at <= datetime.now(UTC)


#: All that pika makes of a header field, and more.
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("\x00\ud800")
    | st.datetimes() | st.just(Decimal("1.5")) | st.just("x" * 600) | st.just(b"\xff"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
_names = st.sampled_from(
    ["x-death", "x-tidings-reason", "x-tidings-consumer", "x-tidings-error", "x-tidings-exception", "x-tidings-frame",
     "x-tidings-first-failed-at", "x-tidings-failed-at", "x-tidings-version"]
)  # fmt: skip
_deaths = st.fixed_dictionaries({}, optional=dict.fromkeys(("queue", "reason", "time"), _values))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    headers=st.dictionaries(_names, _values),
    death=st.none() | _deaths,
    body=st.binary(max_size=50) | st.just(encode(ada())) | st.just(b'{"id": "\\ud800", "type": "\\u0000"}'),
)
def test_there_is_a_letter_that_every_database_takes_whatever_the_message(
    headers: dict[str, Any], death: dict[str, Any] | None, body: bytes
) -> None:
    letter = reading(body, headers | ({} if death is None else {"x-death": [death]})).letter
    for name in Letter.__slots__:
        value = getattr(letter, name)
        if isinstance(value, str):
            assert "\x00" not in value
            assert len(value.encode()) <= 2000, name
    assert body == letter.body
    assert letter.first_failed_at <= letter.last_failed_at
