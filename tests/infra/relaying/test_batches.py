"""How a batch is published: pipelined, in order, and one event of a subject at a time."""

import asyncio

from infra.database.outbox import Due
from infra.errors import BrokerUnavailable, PublishRejected, Unroutable
from infra.relaying import batches
from infra.relaying.batches import Result


class Broker:
    """Confirms in a later turn of the loop, except what it is told to fail."""

    def __init__(self, failing: dict[int, Exception] | None = None) -> None:
        self.failing = failing or {}
        self.started: list[int] = []
        self.in_flight: list[str | None] = []
        self.most = 0

    async def send(self, row: Due) -> None:
        assert row.subject is None or row.subject not in self.in_flight
        self.started.append(row.sequence)
        self.in_flight.append(row.subject)
        self.most = max(self.most, len(self.in_flight))
        await asyncio.sleep(0)
        self.in_flight.remove(row.subject)
        if row.sequence in self.failing:
            raise self.failing[row.sequence]


def publish(broker: Broker, *subjects: str | None) -> Result:
    rows = [Due(place, f"event-{place}", "user.registered", subject, "{}", 0) for place, subject in enumerate(subjects)]
    return asyncio.run(batches.publish(rows, broker.send))


def confirmed(result: Result) -> list[int]:
    return [row.sequence for row in result.confirmed]


def test_events_without_a_common_subject_are_in_flight_together_and_start_in_order() -> None:
    broker = Broker()
    result = publish(broker, None, "a", None, "b")
    assert (broker.started, broker.most, confirmed(result)) == ([0, 1, 2, 3], 4, [0, 1, 2, 3])


def test_of_one_subject_each_event_waits_for_the_one_before() -> None:
    broker = Broker()
    result = publish(broker, "a", "a", "b", "a")
    assert (broker.started, broker.most) == ([0, 2, 1, 3], 2)
    assert confirmed(result) == [0, 1, 2, 3]


def test_behind_a_failed_event_the_later_ones_of_its_subject_are_left_out() -> None:
    error = Unroutable("no queue")
    result = publish(Broker({1: error}), "a", "a", "b", "a")
    assert confirmed(result) == [0, 2]
    assert {sequence: why for sequence, (_, why) in result.failed.items()} == {1: error}
    assert result.lost is None


def test_nothing_more_is_started_on_a_lost_connection() -> None:
    error = BrokerUnavailable("gone")
    broker = Broker({0: error})
    result = publish(broker, None, "a", "a")
    assert (broker.started, result.lost) == ([0, 1], error)


def test_an_error_that_nobody_thought_of_costs_its_own_event_only_and_is_told_by_class_and_place() -> None:
    result = publish(Broker({1: KeyError("ada@example.com")}), None, None, None)
    [(_, error)] = result.failed.values()
    assert (confirmed(result), type(error)) == ([0, 2], PublishRejected)
    assert str(error).startswith("An unexpected KeyError at infra.relaying.batches:")
    assert "ada@" not in str(error)
