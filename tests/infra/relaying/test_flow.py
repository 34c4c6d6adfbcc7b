"""How many events of the past may be on their way: as many as the consumer gets done in a moment, at the rate."""

import pytest

from infra.relaying import flow
from infra.relaying.flow import Flow


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Consumer:
    """One that gets so many done in a second, and is sent what there is room for each 0.1 s."""

    def __init__(self, clock: Clock) -> None:
        self.flow = Flow(None, clock=clock)
        self.in_flight = 0.0
        self._clock = clock

    def work(self, speed: float, seconds: float) -> int:
        """Go on for a while; gives the most that were on their way."""
        most = 0
        for _ in range(int(seconds * 10)):
            room = self.flow.room(round(self.in_flight))
            self.flow.took(room)
            self.in_flight += room
            most = max(most, round(self.in_flight))
            self._clock.now += 0.1
            self.in_flight = max(0.0, self.in_flight - speed / 10)
        return most


def test_of_a_consumer_that_nothing_is_known_of_few_are_on_their_way(clock: Clock) -> None:
    assert flow.FEWEST == Flow(None, clock=clock).room(0)


@pytest.mark.parametrize(("speed", "most"), [(5.0, 100), (200.0, 400), (900.0, 1_800), (5_000.0, 2_000)])
def test_about_two_seconds_worth_is_on_its_way(clock: Clock, speed: float, most: int) -> None:
    consumer = Consumer(clock)
    consumer.work(speed, 20)
    assert most == pytest.approx(consumer.work(speed, 20), rel=0.15)


def test_a_consumer_that_has_stopped_is_sent_no_more(clock: Clock) -> None:
    consumer = Consumer(clock)
    consumer.work(500.0, 10)
    consumer.work(0.0, 10)
    assert 0 == consumer.flow.room(round(consumer.in_flight))


def test_it_is_filled_up_when_half_is_done(clock: Clock) -> None:
    one = Flow(None, clock=clock)
    one.took(one.room(0))
    assert (0, 50) == (one.room(flow.FEWEST // 2 + 1), one.room(flow.FEWEST // 2))


def test_what_a_relay_before_had_sent_counts_as_on_its_way(clock: Clock) -> None:
    one = Flow(None, clock=clock)
    assert 0 == one.room(80)
    clock.now += 1.0
    assert 0 == one.room(80)


def test_a_rate_is_not_exceeded(clock: Clock) -> None:
    one, sent = Flow(40.0, clock=clock), 0
    for _ in range(100):
        room = one.room(0)
        one.took(room)
        sent += room
        clock.now += 0.1
    assert sent == pytest.approx(400, rel=0.05)
