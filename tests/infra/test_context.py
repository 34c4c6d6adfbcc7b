"""What a handler is given: what it announces for later happens then."""

from datetime import UTC, datetime, timedelta
from typing import NoReturn
from uuid import uuid4

import pytest

from events.clock import DayEnded
from events.envelope import announce
from events.users import UserRegistered
from infra.context import DeliveryContext
from infra.errors import ConfigurationError

TODAY = datetime.now(UTC).date()


@pytest.fixture
def context() -> DeliveryContext:
    """That of a registration; no transaction is asked for."""

    def begin() -> NoReturn:
        raise AssertionError

    event = UserRegistered(user_id=uuid4(), name="Ada", email="ada@example.com")
    return DeliveryContext(announce(event, source="/gateway"), "tested", 1, False, begin)


def test_an_event_for_later_has_the_time_at_which_it_happens_and_its_cause(context: DeliveryContext) -> None:
    """Else it would be too old for its consumers' retries when it comes."""
    at = datetime.now(UTC) + timedelta(days=7)
    event_id = context.publish(DayEnded(day=TODAY), at=at)
    ((envelope, held_until),) = context.published
    assert (event_id, at, at, context.event_id) == (envelope.id, envelope.time, held_until, envelope.causation_id)


def test_an_event_for_the_past_happens_now(context: DeliveryContext) -> None:
    before = datetime.now(UTC)
    context.publish(DayEnded(day=TODAY), at=before - timedelta(days=7))
    ((envelope, _),) = context.published
    assert before <= envelope.time <= datetime.now(UTC)


def test_a_moment_without_a_zone_is_refused_with_what_to_write_instead(context: DeliveryContext) -> None:
    with pytest.raises(ValueError, match=r"give `at` a zone, as in datetime\.now\(UTC\)"):
        context.publish(DayEnded(day=TODAY), at=datetime(2026, 11, 26))  # noqa: DTZ001  # that is the mistake
    assert [] == context.published


def test_a_type_that_the_subscription_does_not_name_is_refused_with_what_to_write(context: DeliveryContext) -> None:
    context.publishes = ("user.registered",)
    with pytest.raises(ConfigurationError, match=r"^tested may not publish day\.ended: add DayEnded to `publishes=`"):
        context.publish(DayEnded(day=TODAY))
    assert [] == context.published


def test_a_type_that_the_subscription_names_is_published(context: DeliveryContext) -> None:
    context.publishes = ("day.ended",)
    context.publish(DayEnded(day=TODAY))
    assert ["day.ended"] == [envelope.type for envelope, _ in context.published]
