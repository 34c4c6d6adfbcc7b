"""When a failed delivery is tried again, and when given up: a consumer's own rules, and what holds without any."""

import math
import smtplib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import structlog

from infra.errors import ConfigurationError, EffectError, EffectRefused, TidingsError

#: Seconds for which there is a queue to wait in.
TIERS = (5, 30, 120, 600, 3600)
#: Errors that lie in the program or in the data, so that a further try rarely helps: `ValueError` has in it those of
#: Pydantic, JSON and Unicode, `LookupError` the KeyError, `ArithmeticError` the division by zero.
MISTAKES = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    NameError,
    AssertionError,
    ArithmeticError,
    ImportError,
    SyntaxError,
    NotImplementedError,
    RecursionError,
)
#: SMTP answers that are about us and not about the mail: an operator mends that, and then the mail goes (infra.smtp).
_OF_US = (smtplib.SMTPAuthenticationError, smtplib.SMTPConnectError, smtplib.SMTPHeloError)
#: SMTP codes from here on are for good (RFC 5321, section 4.2.1).
_FOR_GOOD = 500

Predicate = Callable[[Any], bool]
_log = structlog.get_logger(__name__)


class RetryAfter(TidingsError):
    """Raised by a handler or an effect that was told when to come again (HTTP 429 and its Retry-After, say).

    The event waits in the nearest tier above, an hour at most, whatever the consumer's rules say. It is a try like any
    other: there are as many as the consumer's default `delays`, and after the last one the event is dead.

    Raises:
        ValueError: the seconds are no number from 0 to below infinity.
    """

    def __init__(self, seconds: float, reason: str = "") -> None:
        if not 0 <= seconds < math.inf:
            raise ValueError(f"RetryAfter: seconds must be a number from 0 up, and finite, not {seconds!r}.")
        super().__init__(reason or f"asked to be tried again in {seconds:g} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of errors of some classes; made by `Retry.on` and `Retry.never`."""

    classes: tuple[type[BaseException], ...]
    #: Seconds before each further try; none means dead at once.
    delays: tuple[int, ...]
    #: Asked about an error of these classes; one that raises counts as a no.
    when: Predicate | None = None

    def __post_init__(self) -> None:
        if not self.classes or not all(
            isinstance(each, type) and issubclass(each, BaseException) for each in self.classes
        ):
            raise ConfigurationError(
                "Retry: a rule names exception classes, such as ConnectionError, or Exception for all."
            )
        if self.when is not None and not callable(self.when):
            raise ConfigurationError("Retry: when= is a function that is given the exception and says yes or no.")

    def matches(self, error: BaseException) -> bool:
        """Whether it is for this error, or for the one that an effect's error was raised from.

        `EffectFailed` and the like only say in our words what smtplib, say, said; whatever else an error was raised
        from is not looked at.
        """
        return self._is_for(error) or (
            isinstance(error, EffectError) and error.__cause__ is not None and self._is_for(error.__cause__)
        )

    def _is_for(self, error: BaseException) -> bool:
        return isinstance(error, self.classes) and (self.when is None or self._says_yes(self.when, error))

    def _says_yes(self, when: Predicate, error: BaseException) -> bool:
        try:
            return bool(when(error))
        except Exception as mistake:  # noqa: BLE001  # the event must not pay for a mistake in a rule
            names = [each.__name__ for each in self.classes]
            _log.warning("retry rule failed, so it is passed over", classes=names, error=type(mistake).__name__)
            return False


@dataclass(frozen=True, slots=True, init=False)
class Retry:
    """When a failed delivery is tried again: the first rule that matches decides, and then the dead letters.

    What no rule matches: refused for good (`EffectRefused`, SMTP 5xx) is dead at once; a mistake (`MISTAKES`) has the
    first of `delays`; all else, such as timeouts and lost connections, has all of them. A further try counts on,
    whichever error the one before had.
    """

    #: Tried in this order.
    rules: tuple[Rule, ...]
    #: Seconds before each further try when no rule says otherwise; each is one of `TIERS`.
    delays: tuple[int, ...]
    #: Seconds since the event's own time after which no further try follows; None: whatever its age.
    max_age: float | None

    #: What holds when a consumer says nothing.
    DEFAULT: ClassVar["Retry"]

    def __init__(self, *rules: Rule, delays: Iterable[int] = TIERS, max_age: float | None = None) -> None:
        if not all(isinstance(rule, Rule) for rule in rules):
            raise ConfigurationError(
                "Retry: rules are made by Retry.on and Retry.never; delays go by name: delays=(5, 30)."
            )
        if max_age is not None and not 0 < max_age < math.inf:
            raise ConfigurationError("Retry: max_age is a number of seconds above 0, or None.")
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "delays", _tiers(delays))
        object.__setattr__(self, "max_age", max_age)

    @staticmethod
    def on(*classes: type[BaseException], delays: Iterable[int] = TIERS, when: Predicate | None = None) -> Rule:
        """A rule for errors of these classes: one delay per further try.

        Raises:
            ConfigurationError: no class is named, or there is no tier for a delay.
        """
        return Rule(classes, _tiers(delays), when)

    @staticmethod
    def never(*classes: type[BaseException], when: Predicate | None = None) -> Rule:
        """A rule for errors of these classes: no further try.

        Raises:
            ConfigurationError: no class is named.
        """
        return Rule(classes, (), when)

    def delay_after(self, attempt: int, error: BaseException) -> int | None:
        """Seconds to wait after this try (the first is 1) failed with this error, None to give up."""
        if isinstance(error, RetryAfter):
            return _tier_at_least(error.seconds) if attempt <= len(self.delays) else None
        delays = self._delays_for(error)
        return delays[attempt - 1] if attempt <= len(delays) else None

    def is_too_old(self, happened_at: datetime, now: datetime) -> bool:
        """Whether an event of that time is past its age at this moment."""
        return self.max_age is not None and (now - happened_at).total_seconds() > self.max_age

    def _delays_for(self, error: BaseException) -> tuple[int, ...]:
        for rule in self.rules:
            if rule.matches(error):
                return rule.delays
        if _is_refused(error):
            return ()
        # Some are both, as a certificate that does not fit is: then it lies in the moment.
        is_mistake = isinstance(error, MISTAKES) and not isinstance(error, OSError)
        return self.delays[:1] if is_mistake else self.delays


def _is_refused(error: BaseException) -> bool:
    """Whether the other side said no for good; of several recipients each one."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= _FOR_GOOD for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException) and not isinstance(error, _OF_US):
        return error.smtp_code >= _FOR_GOOD
    return isinstance(error, EffectRefused)


def _tiers(delays: Iterable[int]) -> tuple[int, ...]:
    chosen = tuple(delays)
    if not set(chosen) <= set(TIERS):
        raise ConfigurationError(f"Retry: each delay is one of {TIERS} seconds, the queues that messages wait in.")
    return chosen


def _tier_at_least(seconds: float) -> int:
    return next((tier for tier in TIERS if tier >= seconds), TIERS[-1])


Retry.DEFAULT = Retry()
