"""A lane that is paused, probed and resumed, on a real RabbitMQ: nothing lost, doubled, given up or out of order."""

import threading
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.outcomes import Done, Incoming, Outcome
from infra.rabbitmq.blocking import BlockingPublisher
from infra.rabbitmq.broker import TidingsBroker
from infra.rabbitmq.modes import Mode
from tests.waiting import until
from tests.workers import Bench, Handle, collect

NAME = "a-consumer"


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def gated(bodies: list[bytes], gate: threading.Event) -> Handle:
    """A handler that starts, and ends when the gate is open."""

    def handle(incoming: Incoming) -> Outcome:
        bodies.append(incoming.body)
        gate.wait(60)
        return Done()

    return handle


def pause(broker: TidingsBroker) -> None:
    broker.turn(NAME, Mode.PAUSED)
    until(lambda: not broker.attached[NAME], what="the end of the consumer on the broker")


def resume(broker: TidingsBroker) -> None:
    broker.turn(NAME, Mode.RUNNING)
    until(lambda: broker.attached[NAME], what="the attachment")


def waiting(bench: Bench) -> int:
    return bench.api.messages(bench.vhost, NAME)


def declare_everything(bench: Bench) -> Callable[[], None]:
    """The queue and the dead letters behind it; gives what declares them again."""
    publisher = BlockingPublisher(bench.vhost, name="a test's publisher")
    publisher.declare([(NAME, ["t"], "a test's")])
    publisher.close()
    return lambda: bench.declare(NAME)


def test_what_is_in_flight_ends_and_what_was_prefetched_goes_back_in_its_order(bench: Bench) -> None:
    bench.declare(NAME)
    bench.send(NAME, *numbered(20))
    bodies, gate = list[bytes](), threading.Event()
    with bench.working({NAME: gated(bodies, gate)}, concurrency=1) as broker:
        until(lambda: bodies == [b"0"] and waiting(bench) == 0, what="the prefetch")
        pause(broker)
        until(lambda: waiting(bench) == 19, what="the return of what had not begun")
        gate.set()
        until(lambda: not broker.is_busy(NAME), what="the end of the one in flight")
        assert bodies == [b"0"]
        resume(broker)
        until(lambda: len(bodies) >= 20, what="the rest")

    assert bodies == numbered(20)
    assert waiting(bench) == 0


def test_thirty_pauses_bring_no_message_near_the_delivery_limit(bench: Bench) -> None:
    """The limit is 20 returns, and up to 4.3 each pause that gives a message back is one."""
    redeclare = declare_everything(bench)
    bench.send(NAME, *numbered(20))
    bodies, gate = list[bytes](), threading.Event()
    with bench.working({NAME: gated(bodies, gate)}, concurrency=1, redeclare=redeclare) as broker:
        for _ in range(30):
            resume(broker)
            until(lambda: waiting(bench) == 0, what="the prefetch")
            pause(broker)
        gate.set()
        resume(broker)
        until(lambda: len(bodies) >= 20, what="all messages")

    assert bodies == numbered(20)
    assert (waiting(bench), bench.api.messages(bench.vhost, "dead-letters")) == (0, 0)


def test_a_probe_takes_one_message_and_leaves_the_others(bench: Bench) -> None:
    bench.declare(NAME)
    bench.send(NAME, *numbered(3))
    bodies: list[bytes] = []
    with bench.working({NAME: collect(bodies)}, modes={NAME: Mode.PAUSED}) as broker:
        broker.turn(NAME, Mode.PROBING)
        until(lambda: not broker.is_busy(NAME), what="the end of the probe")
        assert broker.paused == {NAME}
        until(lambda: waiting(bench) == 2, what="the two others in the queue")

    assert bodies == [b"0"]


def test_a_probe_of_an_empty_queue_waits_for_the_next_message(bench: Bench) -> None:
    bench.declare(NAME)
    bodies: list[bytes] = []
    with bench.working({NAME: collect(bodies)}, modes={NAME: Mode.PROBING}) as broker:
        until(lambda: broker.attached[NAME], what="the attachment")
        assert broker.is_busy(NAME)
        bench.send(NAME, b"0", b"1")
        until(lambda: not broker.is_busy(NAME), what="the end of the probe")
        until(lambda: waiting(bench) == 1, what="the other one in the queue")

    assert bodies == [b"0"]


def test_a_lane_that_is_paused_from_the_start_takes_nothing(bench: Bench) -> None:
    bench.declare(NAME, "another")
    bench.send(NAME, b"0")
    bodies: list[bytes] = []
    handles = {NAME: collect(bodies), "another": collect([])}
    with bench.working(handles, modes={NAME: Mode.PAUSED}) as broker:
        until(lambda: broker.attached["another"], what="the other lane's attachment")
        assert (broker.attached[NAME], waiting(bench), bodies) == (False, 1, [])
        resume(broker)
        until(lambda: bodies == [b"0"], what="the message")


def test_a_lane_stays_paused_over_a_reconnect(bench: Bench) -> None:
    bench.declare(NAME, "another")
    bodies, other = list[bytes](), list[bytes]()
    with bench.working({NAME: collect(bodies), "another": collect(other)}) as broker:
        pause(broker)
        bench.send(NAME, b"0")
        bench.api.close_connections(bench.vhost)
        bench.send("another", b"1")
        until(lambda: other == [b"1"], seconds=20, what="the reconnect of the other lane")
        assert (broker.attached[NAME], bodies, waiting(bench)) == (False, [], 1)
        resume(broker)
        until(lambda: bodies == [b"0"], what="the message")


def test_a_probe_that_waits_is_there_again_after_a_reconnect(bench: Bench) -> None:
    bench.declare(NAME)
    bodies: list[bytes] = []
    with bench.working({NAME: collect(bodies)}, modes={NAME: Mode.PROBING}) as broker:
        until(lambda: broker.attached[NAME], what="the attachment")
        bench.api.close_connections(bench.vhost)
        until(lambda: not broker.attached[NAME], what="the loss")
        until(lambda: broker.attached[NAME], seconds=20, what="the attachment after it")
        bench.send(NAME, b"0", b"1")
        until(lambda: not broker.is_busy(NAME), what="the end of the probe")

    assert (bodies, waiting(bench)) == ([b"0"], 1)


def test_a_queue_that_was_deleted_while_paused_is_made_again_when_the_lane_goes_on(bench: Bench) -> None:
    bench.declare(NAME)
    bodies: list[bytes] = []
    with bench.working({NAME: collect(bodies)}) as broker:
        pause(broker)
        bench.api.delete_queue(bench.vhost, NAME)
        broker.turn(NAME, Mode.RUNNING)
        until(lambda: bench.api.has_queue(bench.vhost, NAME), seconds=20, what="the queue")
        bench.send(NAME, b"0")
        until(lambda: bodies == [b"0"], seconds=20, what="the message")


def test_a_queue_that_is_deleted_under_a_probe_is_made_again(bench: Bench) -> None:
    """The broker cancels the consumer of a queue that goes."""
    bench.declare(NAME)
    bodies: list[bytes] = []
    with bench.working({NAME: collect(bodies)}, modes={NAME: Mode.PROBING}) as broker:
        until(lambda: broker.attached[NAME], what="the attachment")
        bench.api.delete_queue(bench.vhost, NAME)
        until(lambda: bench.api.has_queue(bench.vhost, NAME), seconds=20, what="the queue")
        bench.send(NAME, b"0", b"1")
        until(lambda: not broker.is_busy(NAME), seconds=20, what="the end of the probe")

    assert (bodies, waiting(bench)) == ([b"0"], 1)


def test_a_queue_that_is_deleted_under_a_message_in_flight_of_a_paused_lane_harms_nobody(bench: Bench) -> None:
    bench.declare(NAME, "another")
    bench.send(NAME, b"0", b"1")
    bodies, other, gate = list[bytes](), list[bytes](), threading.Event()
    with bench.working({NAME: gated(bodies, gate), "another": collect(other)}, concurrency=1) as broker:
        until(lambda: bodies == [b"0"], what="the message in flight")
        pause(broker)
        bench.api.delete_queue(bench.vhost, NAME)
        gate.set()
        until(lambda: not broker.is_busy(NAME), what="the end of the one in flight")
        bench.send("another", b"2")
        until(lambda: other == [b"2"], what="the other lane's message")
        broker.turn(NAME, Mode.RUNNING)
        until(lambda: broker.attached[NAME], seconds=20, what="the attachment")
        bench.send(NAME, b"3")
        until(lambda: bodies == [b"0", b"3"], what="the message of the new queue")


@given(st.lists(st.sampled_from(Mode), min_size=10, max_size=60))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_the_modes_change_each_message_is_handled_once(bench: Bench, modes: list[Mode]) -> None:
    """Asked for from another thread, faster than the broker can follow."""
    redeclare = declare_everything(bench)
    bodies: list[bytes] = []
    with bench.working({NAME: collect(bodies)}, redeclare=redeclare) as broker:
        bench.send(NAME, *numbered(100))
        for mode in modes:
            broker.turn(NAME, mode)
        resume(broker)
        until(lambda: len(bodies) >= 100, what="all messages")
        until(lambda: not broker.is_busy(NAME), what="the last one's end")

    assert sorted(bodies) == sorted(numbered(100))
    assert (waiting(bench), bench.api.messages(bench.vhost, "dead-letters")) == (0, 0)
