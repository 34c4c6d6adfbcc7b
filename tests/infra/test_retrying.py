"""When a failed delivery is tried again: the consumer's rules in their order, then what holds without any."""

import json
import smtplib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from infra.errors import ConfigurationError, EffectError, EffectFailed, EffectRefused, EffectUnknown
from infra.rabbitmq import topology
from infra.retrying import MISTAKES, TIERS, Retry, RetryAfter

ALL, ONE, NONE = list(TIERS), [5], list[int]()


def delays(retry: Retry, error: BaseException) -> list[int]:
    """The delay after each try, if each ends in this error."""
    found: list[int] = []
    while (delay := retry.delay_after(len(found) + 1, error)) is not None:
        found.append(delay)
    return found


def validation_error() -> ValidationError:
    class Shape(BaseModel):
        number: int

    with pytest.raises(ValidationError) as caught:
        Shape.model_validate({"number": "x"})
    return caught.value


def caused(error: EffectError, cause: BaseException) -> EffectError:
    error.__cause__ = cause
    return error


BY_DEFAULT = {
    "what nobody foresaw": (RuntimeError(), ALL),
    "a lost connection": (ConnectionResetError(), ALL),
    "a timeout": (TimeoutError(), ALL),
    "a file that is away": (FileNotFoundError(), ALL),
    "an interrupt by the time limit": (GeneratorExit(), ALL),
    "a wrong type": (TypeError(), ONE),
    "a missing key": (KeyError("name"), ONE),
    "a missing place": (IndexError(), ONE),
    "a wrong value": (ValueError(), ONE),
    "a failed validation": (validation_error(), ONE),
    "no JSON": (json.JSONDecodeError("no", "", 0), ONE),
    "no UTF-8": (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), ONE),
    "a missing attribute": (AttributeError(), ONE),
    "a missing name": (NameError(), ONE),
    "a failed assertion": (AssertionError(), ONE),
    "a division by zero": (ZeroDivisionError(), ONE),
    "a missing module": (ModuleNotFoundError(), ONE),
    "endless recursion": (RecursionError(), ONE),
    "a certificate that does not fit, which is a ValueError too": (ssl.SSLCertVerificationError(), ALL),
    "SMTP 4xx": (smtplib.SMTPDataError(451, b"later"), ALL),
    "SMTP 5xx": (smtplib.SMTPDataError(554, b"no"), NONE),
    "SMTP 5xx to the sender": (smtplib.SMTPSenderRefused(550, b"no", "me@example.com"), NONE),
    "SMTP 5xx to our login, which an operator mends": (smtplib.SMTPAuthenticationError(535, b"no"), ALL),
    "SMTP 5xx to our greeting": (smtplib.SMTPHeloError(501, b"no"), ALL),
    "SMTP at its end": (smtplib.SMTPServerDisconnected("gone"), ALL),
    "SMTP, all recipients 5xx": (smtplib.SMTPRecipientsRefused({"a": (550, b"no"), "b": (553, b"no")}), NONE),
    "SMTP, one recipient 4xx": (smtplib.SMTPRecipientsRefused({"a": (550, b"no"), "b": (450, b"later")}), ALL),
    "an effect refused for good": (EffectRefused(), NONE),
    "an effect that failed for now": (EffectFailed(), ALL),
    "an effect that may have happened": (EffectUnknown(), ALL),
    "an effect that failed for now over a 5xx, for smtplib's word is not the last": (
        caused(EffectFailed(), smtplib.SMTPSenderRefused(550, b"no", "")),
        ALL,
    ),
}


@pytest.mark.parametrize(("error", "expected"), BY_DEFAULT.values(), ids=BY_DEFAULT)
def test_what_holds_without_rules(error: BaseException, expected: list[int]) -> None:
    assert expected == delays(Retry.DEFAULT, error)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_has_the_first_of_the_consumers_own_delays(mistake: type[BaseException]) -> None:
    assert [[600], NONE] == [delays(Retry(delays=own), mistake()) for own in ([600, 30], [])]


def test_the_first_rule_that_matches_decides() -> None:
    retry = Retry(
        Retry.never(ConnectionRefusedError), Retry.on(OSError, delays=(30, 5)), Retry.on(KeyError, OSError), delays=()
    )
    assert [NONE, [30, 5], ALL, NONE] == [
        delays(retry, error) for error in (ConnectionRefusedError(), TimeoutError(), KeyError(), RuntimeError())
    ]


def test_a_rule_is_stronger_than_what_holds_without_it() -> None:
    retry = Retry(Retry.on(EffectRefused, delays=[120]), Retry.on(smtplib.SMTPDataError), Retry.never(TimeoutError))
    assert [[120], ALL, NONE] == [
        delays(retry, error) for error in (EffectRefused(), smtplib.SMTPDataError(554, b"no"), TimeoutError())
    ]


def test_a_predicate_narrows_a_rule() -> None:
    retry = Retry(Retry.never(ValueError, when=lambda error: "for good" in str(error)))
    assert [NONE, ONE] == [delays(retry, ValueError(text)) for text in ("for good", "for now")]


def test_a_predicate_that_raises_says_no_and_its_error_is_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    def stumbles(_: Any) -> bool:
        raise ValueError("ada@example.com")

    assert ONE == delays(Retry(Retry.never(KeyError, when=stumbles)), KeyError("ada@example.com"))
    said = capfd.readouterr().out
    assert (True, False) == ("retry rule failed" in said, "ada@example.com" in said)


def test_a_rule_for_what_the_mail_server_did_is_for_the_effects_error_too() -> None:
    """The delivery sees `EffectFailed` where smtplib raised `SMTPServerDisconnected`, from which that was raised."""
    retry = Retry(Retry.on(smtplib.SMTPServerDisconnected, delays=[30]), Retry.never(smtplib.SMTPResponseException))
    failures = (smtplib.SMTPServerDisconnected("gone"), smtplib.SMTPDataError(451, b"later"), TimeoutError())
    assert [[30], NONE, ALL] == [delays(retry, caused(EffectUnknown(), failure)) for failure in failures]


def test_a_predicate_is_asked_about_the_error_of_its_class() -> None:
    retry = Retry(Retry.never(smtplib.SMTPDataError, when=lambda error: error.smtp_code == 452))
    answers = [caused(EffectFailed(), smtplib.SMTPDataError(code, b"")) for code in (452, 451)]
    assert [NONE, ALL] == [delays(retry, answer) for answer in answers]


def test_a_handlers_own_error_is_not_what_it_was_raised_from() -> None:
    """Who translates an error means the new one."""
    error = RuntimeError("translated")
    error.__cause__ = ConnectionError()
    assert ALL == delays(Retry(Retry.never(ConnectionError)), error)


@pytest.mark.parametrize(
    ("seconds", "tier"),
    [
        (0, 5),
        (5, 5),
        (5.01, 30),
        (20, 30),
        (31, 120),
        (120, 120),
        (599, 600),
        (601, 3600),
        (86_400, 3600),
        (1e300, 3600),
    ],
)
def test_who_is_told_when_to_come_again_waits_in_the_nearest_tier_above(seconds: float, tier: int) -> None:
    assert tier == Retry(delays=[5]).delay_after(1, RetryAfter(seconds))


def test_being_told_when_to_come_again_is_a_try_like_any_other() -> None:
    assert [[30] * 5, [30], NONE] == [
        delays(retry, RetryAfter(20)) for retry in (Retry.DEFAULT, Retry(delays=[3600]), Retry(delays=[]))
    ]


def test_being_told_when_to_come_again_is_stronger_than_a_rule() -> None:
    assert [30] * 5 == delays(Retry(Retry.never(Exception)), RetryAfter(20))


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_when_to_come_again_is_a_number_of_seconds(seconds: float) -> None:
    with pytest.raises(ValueError, match="RetryAfter: seconds must be"):
        RetryAfter(seconds)


def test_what_is_to_come_again_says_when_unless_it_has_a_reason() -> None:
    assert ["asked to be tried again in 20 s", "busy"] == [str(RetryAfter(20)), str(RetryAfter(20, "busy"))]


def test_an_event_is_too_old_after_its_maximum_age() -> None:
    now = datetime.now(UTC)
    happened = [now - timedelta(seconds=age) for age in (59, 60, 61)]
    assert [False, False, True] == [Retry(max_age=60).is_too_old(at, now) for at in happened]
    assert not Retry.DEFAULT.is_too_old(datetime(1, 1, 1, tzinfo=UTC), now)


WRONG: dict[str, Callable[[], object]] = {
    "a delay without a queue": lambda: Retry(delays=[7]),
    "a rule's delay without a queue": lambda: Retry.on(OSError, delays=[5, 6]),
    "no class": Retry.on,
    "never no class": Retry.never,
    "an error in place of its class": lambda: Retry.on(OSError("x")),  # type: ignore[arg-type]
    "something else in place of a class": lambda: Retry.never(int),  # type: ignore[arg-type]
    "delays in place of rules": lambda: Retry((5, 30)),  # type: ignore[arg-type]
    "a class in place of a rule": lambda: Retry(OSError),  # type: ignore[arg-type]
    "no predicate": lambda: Retry.on(OSError, when="yes"),  # type: ignore[arg-type]
    "no age": lambda: Retry(max_age=0),
    "an age without an end": lambda: Retry(max_age=float("inf")),
    "an age that is no number": lambda: Retry(max_age=float("nan")),
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG)
def test_a_wrong_option_is_told_in_one_line_when_the_consumer_is_loaded(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError, match=r"^Retry: .*\.$|^Retry: .* wait in\.$"):
        make()


def test_there_is_a_queue_for_each_tier() -> None:
    assert list(TIERS) == sorted(topology.TIERS)


_classes = st.sampled_from([OSError, ConnectionError, TimeoutError, ValueError, KeyError, EffectFailed, RuntimeError])
_delays = st.lists(st.sampled_from(TIERS), max_size=8).map(tuple)
_rules = st.lists(st.builds(lambda each, own: Retry.on(each, delays=own), _classes, _delays), max_size=4)


@given(_rules, _delays, _classes, st.floats(0, 1e6))
def test_every_event_is_given_up_one_day_and_waits_where_there_is_a_queue(
    rules: list[Any], own: tuple[int, ...], error: type[BaseException], seconds: float
) -> None:
    retry = Retry(*rules, delays=own)
    first = next((rule for rule in rules if issubclass(error, rule.classes)), None)
    waits = delays(retry, error())
    assert set(waits) <= set(TIERS)
    if first is not None:
        assert list(first.delays) == waits
    assert len(own) == len(delays(retry, RetryAfter(seconds)))
