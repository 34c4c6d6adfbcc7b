"""A try that failed, to its outcome: later again, or the dead letters; with what is kept of the failure."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from sqlmodel import Session

from infra.commits import Postponed
from infra.database import inbox
from infra.database.engine import Database
from infra.errors import DatabaseUnavailable, Hopeless
from infra.evidence import Evidence, gather
from infra.outcomes import ComeBack, Hold, Outcome, Park, RetryLater
from infra.retrying import Retry
from infra.subscriptions import Subscription

#: Told, in the transaction that writes it into the inbox, that a try failed, why, and when the next one is, if at all.
Follow = Callable[[Session, inbox.Delivery, str, datetime | None], None]
_log = structlog.get_logger(__name__)


def alone(*_: object) -> None:
    """Nothing follows."""


class Failing:
    """Decides by the consumer's rules and writes the decision into the inbox; always gives an outcome."""

    def __init__(self, database: Database, follow: Follow = alone) -> None:
        """Remember; `follow` keeps up with what is decided elsewhere in the database."""
        self._database = database
        self._follow = follow

    def outcome(
        self, subscription: Subscription, delivery: inbox.Delivery, happened_at: datetime, error: BaseException
    ) -> Outcome:
        """What becomes of an event of that time whose try ended in this error; `Hold` while the database is away."""
        now, retry = datetime.now(UTC), subscription.retry
        evidence = gather(error, _package(subscription))
        delay, reason = _delay(retry, delivery.attempt, error), "handler-error"
        if delay is not None and retry.is_too_old(happened_at, now):
            delay, reason = None, "too-old"
        try:
            first_at = self._write(delivery, evidence.text, None if delay is None else now + timedelta(seconds=delay))
        except DatabaseUnavailable as away:
            return Hold(str(away))
        _tell(delivery, evidence, delay)
        if delay is None:
            return Park(reason, evidence.text, evidence.exception, evidence.frame, first_at, delivery.attempt)
        return RetryLater(delay, evidence.text, evidence.exception, delivery.attempt)

    def postponed(self, delivery: inbox.Delivery, postponed: Postponed) -> Outcome:
        """What becomes of an event that cannot be handled now, through no fault of its own."""
        due = datetime.now(UTC) + timedelta(seconds=postponed.delay)

        def write(session: Session) -> None:
            if postponed.write is not None:
                postponed.write(session)
            inbox.fail(session, delivery, postponed.reason, due)

        try:
            self._database.run(write)
        except DatabaseUnavailable as away:
            return Hold(str(away))
        return ComeBack(postponed.delay, postponed.reason)

    def _write(self, delivery: inbox.Delivery, text: str, retry_at: datetime | None) -> datetime:
        """The inbox row; when it cannot be written the decision stands, for the copy itself says all of it."""
        try:
            with self._database.transaction() as session:
                first_at = inbox.fail(session, delivery, text, retry_at)
                self._follow(session, delivery, text, retry_at)
                return first_at
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  # see above
            name = {"consumer": delivery.consumer, "event_id": delivery.event_id}
            _log.error("failure not recorded", **name, error=type(error).__name__)
            return delivery.begun_at


def _delay(retry: Retry, attempt: int, error: BaseException) -> int | None:
    try:
        return None if isinstance(error, Hopeless) else retry.delay_after(attempt, error)
    except Exception as mistake:  # noqa: BLE001  # an exception class may do anything when it is asked about
        _log.error("retry rules failed, so the default delays hold", error=type(mistake).__name__)
        return Retry.DEFAULT.delay_after(attempt, RuntimeError())


def _package(subscription: Subscription) -> str:
    """The top package of the handler's code."""
    return str(getattr(subscription.handler, "__module__", "")).partition(".")[0]


def _tell(delivery: inbox.Delivery, evidence: Evidence, delay: int | None) -> None:
    """Say so, without the error's text, which may quote the event."""
    _log.warning(
        "delivery failed",
        consumer=delivery.consumer,
        event_id=delivery.event_id,
        attempt=delivery.attempt,
        retry_in=delay,
        error=evidence.exception.rpartition(".")[2],
        where=evidence.frame,
    )
