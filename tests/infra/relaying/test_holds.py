"""What the relay holds back, and in which order it goes on."""

import pytest

from infra.database.outbox import Due
from infra.errors import MessageRefused, Unroutable
from infra.relaying.holds import Holds


class Clock:
    """Time that a test moves by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def holds(clock: Clock) -> Holds:
    return Holds(first=1, longest=4, clock=clock)


def row(sequence: int, kind: str = "user.registered", subject: str | None = None) -> Due:
    return Due(sequence, f"event-{sequence}", kind, subject, "{}", 0)


def test_everything_is_published_together_while_nothing_failed(holds: Holds) -> None:
    rows = [row(1), row(2, subject="a"), row(3, subject="a")]
    assert holds.choose(rows) == (rows, [])
    assert holds.problem is None


def test_a_type_that_no_queue_takes_waits_and_says_so(holds: Holds) -> None:
    holds.failed(row(1), Unroutable("no queue"))
    assert (holds.waiting(), holds.seconds(), holds.problem) == ((["user.registered"], []), 1, "no queue")


def test_a_whole_batch_that_failed_counts_as_one_failure(holds: Holds) -> None:
    for number in range(50):
        holds.failed(row(number), Unroutable("no queue"))
    assert holds.seconds() == 1


def test_each_further_failure_waits_twice_as_long_up_to_the_longest(holds: Holds, clock: Clock) -> None:
    pauses = []
    for _ in range(4):
        holds.failed(row(1), Unroutable("no queue"))
        pauses.append(holds.seconds())
        clock.now += 10
    assert pauses == [1, 2, 4, 4]


def test_after_the_pause_one_event_of_the_type_is_tried_before_the_others(holds: Holds, clock: Clock) -> None:
    holds.failed(row(1, "user.counted"), Unroutable("no queue"))
    clock.now += 1
    assert holds.waiting() == ([], [])
    rows = [row(1, "user.counted"), row(2, "user.counted"), row(3)]
    assert holds.choose(rows) == ([rows[0], rows[2]], [])
    holds.published(rows[0])
    assert holds.choose(rows[1:]) == (rows[1:], [])


def test_behind_an_event_that_waits_the_later_ones_of_its_subject_wait_too(holds: Holds, clock: Clock) -> None:
    holds.failed(row(1, "user.counted", "a"), Unroutable("no queue"))
    clock.now += 1
    rows = [row(1, "user.counted", "a"), row(2, "user.counted", "b"), row(3, subject="b"), row(4, subject="c")]
    assert holds.choose(rows) == ([rows[0], rows[3]], [])


def test_a_row_that_is_at_fault_is_tried_alone_and_holds_nothing_but_its_subject(holds: Holds, clock: Clock) -> None:
    holds.failed(row(1, subject="a"), MessageRefused("too large"))
    assert holds.waiting() == ([], [1])
    clock.now += 1
    rows = [row(1, subject="a"), row(2, subject="a"), row(3, subject="b")]
    assert holds.choose(rows) == ([rows[2]], [rows[0]])


def test_what_left_the_outbox_by_another_way_is_forgotten(holds: Holds, clock: Clock) -> None:
    holds.failed(row(1, "user.counted"), Unroutable("no queue"))
    holds.failed(row(2), MessageRefused("too large"))
    left_out = holds.waiting()
    clock.now += 1
    holds.tidy([], left_out)  # the pause ended after the look: nothing is known of them
    assert holds.seconds() == 0
    holds.tidy([row(2)], holds.waiting())
    assert holds.problem == "too large"
    holds.tidy([], holds.waiting())
    assert holds.problem is None
