"""Rules of losing and regaining the broker, on a real RabbitMQ."""

import threading

from infra.outcomes import Done, Incoming, Outcome
from tests.waiting import until
from tests.workers import Bench, collect


def test_an_ack_of_before_a_reconnect_never_takes_a_message_of_after_it(bench: Bench) -> None:
    """Stock Dramatiq acks the new channel's message with the old tag: it is lost, should its handling not end well."""
    bench.declare("a-consumer")
    bench.send("a-consumer", b"x")
    deliveries, old_may_end, new_may_end = list[bytes](), threading.Event(), threading.Event()

    def handle(incoming: Incoming) -> Outcome:
        deliveries.append(incoming.body)
        if deliveries == [b"x"]:
            old_may_end.wait(60)
        elif deliveries == [b"x", b"x"]:
            new_may_end.wait(60)
        return Done()

    with bench.working({"a-consumer": handle}):
        until(lambda: deliveries == [b"x"], what="the delivery with tag 1 of the old channel")
        bench.api.close_connections(bench.vhost)
        until(lambda: deliveries == [b"x", b"x"], seconds=20, what="the delivery with tag 1 of the new channel")
        old_may_end.set()
        bench.send("a-consumer", b"later")
        until(lambda: deliveries == [b"x", b"x", b"later"], what="what came later")
        bench.api.close_connections(bench.vhost)
        until(lambda: deliveries.count(b"x") == 3, seconds=20, what="the redelivery of what nobody had acked")
        new_may_end.set()

    assert bench.api.messages(bench.vhost, "a-consumer") == 0


def test_every_message_is_handled_though_the_connection_is_closed_under_load(bench: Bench) -> None:
    bench.declare("a-consumer")
    sent = [b"%d" % n for n in range(1_000)]
    bodies: list[bytes] = []
    with bench.working({"a-consumer": collect(bodies)}):
        bench.send("a-consumer", *sent[:500])
        bench.api.close_connections(bench.vhost)
        bench.send("a-consumer", *sent[500:])
        until(lambda: set(bodies) == set(sent), seconds=30, what="every body")

    assert bench.api.messages(bench.vhost, "a-consumer") == 0


def test_a_queue_deleted_under_way_is_declared_and_attached_again(bench: Bench) -> None:
    bench.declare("doomed", "bystander")
    bodies: list[bytes] = []
    declared = threading.Event()

    def redeclare() -> None:
        bench.declare("doomed", "bystander")
        declared.set()

    with bench.working({"doomed": collect(bodies), "bystander": collect([])}, redeclare=redeclare) as broker:
        bench.api.delete_queue(bench.vhost, "doomed")
        assert declared.wait(10)
        until(lambda: all(broker.attached.values()), what="the attachment")
        bench.send("doomed", b"x")
        until(lambda: bodies == [b"x"], what="the delivery")


def test_a_queue_that_does_not_exist_yet_is_declared_and_attached(bench: Bench) -> None:
    bodies: list[bytes] = []
    with bench.working({"late": collect(bodies)}):
        bench.send("late", b"x")
        until(lambda: bodies == [b"x"], what="the delivery")


def test_a_redeclaration_that_fails_is_tried_again(bench: Bench) -> None:
    tries: list[int] = []

    def redeclare() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("not now")
        bench.declare("late")

    with bench.working({"late": collect([])}, redeclare=redeclare) as broker:
        assert broker.attached == {"late": True}

    assert len(tries) == 2


def set_consumer_timeout(bench: Bench, milliseconds: int, *, tick: int) -> None:
    """How long an ack may take, and how often the broker looks (milliseconds)."""
    settings = {"consumer_timeout": milliseconds, "channel_tick_interval": tick}
    bench.api.ctl(
        "eval", ", ".join(f"application:set_env(rabbit, {name}, {value})" for name, value in settings.items()) + "."
    )


def test_a_lane_whose_channel_the_broker_closed_is_attached_again(bench: Bench) -> None:
    """An ack that takes longer than consumer_timeout, here 1 s: 3.10 closes the channel, 4.3 cancels the consumer."""
    bench.declare("a-consumer")
    bench.send("a-consumer", b"x")
    times, go_on = list[bool](), threading.Event()

    def handle(incoming: Incoming) -> Outcome:
        times.append(incoming.redelivered)
        if len(times) == 1:
            go_on.wait(60)
        return Done()

    set_consumer_timeout(bench, 1_000, tick=500)
    try:
        with bench.working({"a-consumer": handle}):
            until(lambda: len(times) > 1, seconds=30, what="the redelivery")
            go_on.set()
    finally:
        set_consumer_timeout(bench, 1_800_000, tick=60_000)

    assert times == [False, True]
    assert bench.api.messages(bench.vhost, "a-consumer") == 0
