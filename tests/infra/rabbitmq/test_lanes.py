"""Rules of a lane, without a broker."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from pika.spec import Basic, BasicProperties

from infra.rabbitmq.deliveries import Delivery, Epoch, Verdict
from infra.rabbitmq.lanes import Lane
from infra.rabbitmq.modes import Mode


def lane_of(concurrency: int) -> tuple[Lane, list[Delivery]]:
    lane, handed = Lane("a-consumer", concurrency), list[Delivery]()
    lane.hand = handed.extend
    return lane, handed


def deliver(lane: Lane, epoch: Epoch, *tags: int, returns: int = 0) -> None:
    properties = BasicProperties(headers={"x-delivery-count": returns})
    for tag in tags:
        lane.deliver(epoch, Basic.Deliver("a-tag", tag, False, "", ""), properties, b"body")


def tags(deliveries: list[Delivery]) -> list[int]:
    return [delivery.tag for delivery in deliveries]


def test_no_more_than_its_concurrency_is_in_flight() -> None:
    lane, handed = lane_of(2)
    deliver(lane, lane.begin(), 1, 2, 3, 4)

    assert tags(handed) == [1, 2]


def test_a_slot_given_back_goes_to_the_next_in_order() -> None:
    lane, handed = lane_of(1)
    deliver(lane, lane.begin(), 1, 2, 3)
    lane.release()
    lane.release()

    assert tags(handed) == [1, 2, 3]


def test_a_free_slot_is_kept_for_the_next_delivery() -> None:
    lane, handed = lane_of(1)
    epoch = lane.begin()
    deliver(lane, epoch, 1)
    lane.release()
    deliver(lane, epoch, 2, 3)

    assert tags(handed) == [1, 2]


def test_what_an_ended_epoch_left_unstarted_is_not_handed_on() -> None:
    lane, handed = lane_of(1)
    deliver(lane, lane.begin(), 1, 2)
    lane.end()
    lane.release()

    assert tags(handed) == [1]
    assert not handed[0].live


def test_a_slot_stays_taken_over_the_end_of_an_epoch() -> None:
    """Its handler still runs on a thread of this lane."""
    lane, handed = lane_of(1)
    deliver(lane, lane.begin(), 7)
    lane.end()
    deliver(lane, lane.begin(), 1)

    assert tags(handed) == [7]
    lane.release()
    assert tags(handed) == [7, 1]
    assert handed[1].live


def test_a_stopped_lane_starts_nothing() -> None:
    lane, handed = lane_of(1)
    epoch = lane.begin()
    deliver(lane, epoch, 1, 2)
    lane.stop()
    lane.release()
    deliver(lane, epoch, 3)

    assert tags(handed) == [1]


def test_a_paused_lane_starts_nothing_and_gives_back_what_waits() -> None:
    lane, handed = lane_of(1)
    epoch = lane.begin()
    deliver(lane, epoch, 1, 2)
    assert lane.turn(Mode.PAUSED)
    deliver(lane, epoch, 3)
    lane.release()

    assert (tags(handed), lane.unstarted(), lane.unstarted()) == ([1], [2, 3], [])
    assert not lane.busy


def test_what_went_back_ten_times_is_kept_and_comes_first_when_the_lane_goes_on() -> None:
    lane, handed = lane_of(2)
    lane.turn(Mode.PAUSED)
    epoch = lane.begin()
    deliver(lane, epoch, 1, returns=10)
    deliver(lane, epoch, 2, returns=9)
    assert lane.unstarted() == [2]
    lane.turn(Mode.RUNNING)
    lane.go_on()
    deliver(lane, epoch, 3)

    assert tags(handed) == [1, 3]


def test_a_probe_is_one_message_and_a_kept_one_before_any_other() -> None:
    lane, handed = lane_of(2)
    lane.turn(Mode.PAUSED)
    epoch = lane.begin()
    deliver(lane, epoch, 1, 2, returns=10)
    lane.turn(Mode.PROBING)
    lane.go_on()

    assert (tags(handed), lane.mode, lane.busy) == ([1], Mode.PAUSED, True)
    lane.release()
    assert (tags(handed), lane.busy) == ([1], False)


def test_a_probe_of_a_lane_that_gathers_is_one_message_too_and_waits_for_no_other() -> None:
    gathering = Gathering(1, 3)
    gathering.lane.turn(Mode.PROBING)
    gathering.deliver(1, 2, 3)

    assert (gathering.batches, gathering.lane.unstarted()) == ([[1]], [2, 3])


def test_a_delivery_is_given_back_unless_somebody_decides_otherwise() -> None:
    lane, handed = lane_of(1)
    deliver(lane, lane.begin(), 1)

    assert handed[0].verdict is Verdict.REQUEUE


def test_the_prefetch_is_sixteen_per_slot_and_at_least_64() -> None:
    assert (Lane("a", 1).prefetch, Lane("b", 8).prefetch) == (64, 128)


class Gathering:
    """A lane that hands several on together, and its timer, which a test lets run out."""

    def __init__(self, concurrency: int, size: int) -> None:
        self.lane = Lane("a-consumer", concurrency, size=size, wait=0.5)
        self.batches: list[list[int]] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.lane.hand = lambda deliveries: self.batches.append([delivery.tag for delivery in deliveries])
        self.lane.call_later = lambda seconds, function: self.timers.append((seconds, function))
        self.epoch = self.lane.begin()

    def deliver(self, *tags: int) -> None:
        deliver(self.lane, self.epoch, *tags)

    def run_out(self) -> None:
        self.timers.pop(0)[1]()


def test_a_full_batch_is_handed_on_at_once() -> None:
    gathering = Gathering(1, 3)
    gathering.deliver(1, 2, 3)

    assert gathering.batches == [[1, 2, 3]]


def test_what_came_in_time_is_handed_on_when_the_wait_is_over() -> None:
    gathering = Gathering(1, 3)
    gathering.deliver(1, 2)
    assert (gathering.batches, [seconds for seconds, _ in gathering.timers]) == ([], [0.5])
    gathering.run_out()

    assert gathering.batches == [[1, 2]]


def test_whoever_waited_for_long_enough_takes_the_next_free_slot() -> None:
    gathering = Gathering(1, 2)
    gathering.deliver(1, 2, 3)
    gathering.run_out()
    assert gathering.batches == [[1, 2]]
    gathering.lane.release()

    assert gathering.batches == [[1, 2], [3]]


@given(st.lists(st.sampled_from(["deliver", "release", "run out"]), max_size=60), st.integers(1, 3), st.integers(2, 4))
def test_nothing_is_left_waiting_for_ever_and_nothing_handed_on_twice(
    steps: list[str], concurrency: int, size: int
) -> None:
    gathering = Gathering(concurrency, size)
    delivered = released = 0
    for step in steps:
        if step == "deliver":
            delivered += 1
            gathering.deliver(delivered)
        elif step == "release" and released < len(gathering.batches):
            released += 1
            gathering.lane.release()
        elif step == "run out" and gathering.timers:
            gathering.run_out()
        assert len(gathering.batches) - released <= concurrency
    while gathering.timers or released < len(gathering.batches):
        while gathering.timers:
            gathering.run_out()
        if released < len(gathering.batches):
            released += 1
            gathering.lane.release()

    assert [tag for batch in gathering.batches for tag in batch] == list(range(1, delivered + 1))
    assert all(len(batch) <= size for batch in gathering.batches)
