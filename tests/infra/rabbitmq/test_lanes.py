"""Rules of a lane, without a broker."""

from pika.spec import Basic, BasicProperties

from infra.rabbitmq.deliveries import Delivery, Epoch, Verdict
from infra.rabbitmq.lanes import Lane


def lane_of(concurrency: int) -> tuple[Lane, list[Delivery]]:
    lane, handed = Lane("a-consumer", concurrency), list[Delivery]()
    lane.hand = handed.append
    return lane, handed


def deliver(lane: Lane, epoch: Epoch, *tags: int) -> None:
    for tag in tags:
        lane.deliver(epoch, Basic.Deliver("a-tag", tag, False, "", ""), BasicProperties(), b"body")


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


def test_a_delivery_is_given_back_unless_somebody_decides_otherwise() -> None:
    lane, handed = lane_of(1)
    deliver(lane, lane.begin(), 1)

    assert handed[0].verdict is Verdict.REQUEUE


def test_the_prefetch_is_sixteen_per_slot_and_at_least_64() -> None:
    assert (Lane("a", 1).prefetch, Lane("b", 8).prefetch) == (64, 128)
