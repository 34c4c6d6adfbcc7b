"""`@subscribe` records, leaves the function as it is, and says in one line what is wrong."""

from collections.abc import Iterator

import pytest

from events.clock import DayEnded, HeartbeatTicked
from events.envelope import Event
from events.users import UserRegistered
from infra.errors import ConfigurationError
from infra.rabbitmq import topology
from infra.subscriptions import TIERS, Context, Retry, forget, recorded, subscribe


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    forget("tested")


def handle(event: Event, context: Context) -> None:
    """Do something.

    And more.
    """


def test_the_function_stays_a_plain_function() -> None:
    assert subscribe("tested", to=UserRegistered)(handle) is handle


def test_the_record_says_what_was_asked_for() -> None:
    subscribe("tested", to=[HeartbeatTicked, DayEnded], concurrency=2, timeout=5, retry=Retry(delays=(5, 30)))(handle)
    (record,) = [each for each in recorded() if each.consumer == "tested"]
    assert (("day.ended", "heartbeat.ticked"), 2, 5, "Do something.") == (
        record.types,
        record.concurrency,
        record.timeout,
        record.description,
    )
    assert (True, False) == (record.takes("day.ended"), record.takes("user.registered"))


def test_event_itself_means_every_type() -> None:
    subscribe("tested", to=Event)(handle)
    (record,) = [each for each in recorded() if each.consumer == "tested"]
    assert (("#",), True) == (record.types, record.takes("anything.happened"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Welcome", "cannot name a consumer"),
        ("a b", "cannot name a consumer"),
        ("a--b", "cannot name a consumer"),
        ("", "cannot name a consumer"),
        ("retry.5s", "cannot name a consumer"),
        ("dead-letters", "cannot name a consumer"),
        ("amq.gen", "cannot name a consumer"),
        ("x" * 101, "100 characters at most"),
    ],
)
def test_a_name_that_cannot_name_a_queue_is_refused(name: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        subscribe(name, to=UserRegistered)


def test_a_name_that_is_taken_is_refused_and_the_taker_is_named() -> None:
    subscribe("tested", to=UserRegistered)(handle)
    with pytest.raises(ConfigurationError, match=r"taken by .*test_subscriptions"):
        subscribe("tested", to=UserRegistered)


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"timeout": 0}])
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        subscribe("tested", to=UserRegistered, **options)  # type: ignore[arg-type]


def test_nothing_to_listen_to_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least one event class"):
        subscribe("tested", to=[])(handle)


def test_the_delays_are_used_up_one_by_one() -> None:
    assert [5, 30, None] == [Retry(delays=(5, 30)).delay_after(attempt, OSError()) for attempt in (1, 2, 3)]


def test_a_delay_is_one_of_the_tiers_that_the_broker_has() -> None:
    assert set(TIERS) == set(topology.TIERS)
    with pytest.raises(ConfigurationError, match="each delay is one of"):
        Retry(delays=(7,))


def test_what_it_publishes_is_recorded_as_types_and_nothing_is_known_unless_it_is_said() -> None:
    found = []
    some: list[type[Event]] = [UserRegistered, DayEnded]
    for publishes in (None, (), DayEnded, some):
        subscribe("tested", to=UserRegistered, publishes=publishes)(handle)
        found += [each.publishes for each in recorded() if each.consumer == "tested"]
        forget("tested")
    assert [None, (), ("day.ended",), ("day.ended", "user.registered")] == found
