"""Rules of the Dramatiq broker on a real RabbitMQ: what is handled, acknowledged, retried and logged."""

import logging
import threading
from typing import Any

import dramatiq
import pytest
from dramatiq.errors import QueueNotFound
from dramatiq.middleware import Middleware, SkipMessage

from infra.errors import ConfigurationError
from infra.outcomes import Done, Incoming, Outcome, Park, RetryLater
from infra.rabbitmq import consuming, handling
from infra.rabbitmq.blocking import BlockingPublisher
from infra.rabbitmq.broker import TidingsBroker
from infra.subscriptions import Subscription
from tests.waiting import until
from tests.workers import Bench, Handle, collect


def refuse(*_: Any) -> None:
    raise AssertionError("nothing is to be published or declared here")


def waiting(event: threading.Event) -> Handle:
    """A handler that ends when the event comes."""

    def handle(_: Incoming) -> Outcome:
        event.wait(30)
        return Done()

    return handle


def test_each_message_is_handled_and_acked(bench: Bench) -> None:
    bench.declare("a-consumer")
    sent = [b"body %d" % n for n in range(300)]
    bench.send("a-consumer", *sent)
    bodies: list[bytes] = []
    with bench.working({"a-consumer": collect(bodies)}):
        until(lambda: len(bodies) == len(sent), what="all bodies")

    assert sorted(bodies) == sorted(sent)
    assert bench.api.messages(bench.vhost, "a-consumer") == 0


def test_acks_go_out_while_the_worker_is_idle(bench: Bench) -> None:
    """A second consumer that is given nothing proves that nothing was left unacked: see the broker's own count."""
    bench.declare("a-consumer")
    bodies: list[bytes] = []
    with bench.working({"a-consumer": collect(bodies)}):
        bench.send("a-consumer", b"1", b"2", b"3")
        until(lambda: len(bodies) == 3, what="all bodies")
        bench.api.close_connections(bench.vhost)
        until(lambda: bench.api.messages(bench.vhost, "a-consumer") == 0, what="an empty queue")

    assert sorted(bodies) == [b"1", b"2", b"3"]


def test_one_slow_delivery_does_not_use_up_the_prefetch(bench: Bench) -> None:
    """Acks behind an unfinished delivery go one by one, so far more than the prefetch (64) gets past it."""
    bench.declare("a-consumer")
    go_on, bodies = threading.Event(), list[bytes]()

    def handle(incoming: Incoming) -> Outcome:
        if incoming.body == b"slow":
            go_on.wait(30)
        return collect(bodies)(incoming)

    bench.send("a-consumer", b"slow", *[b"quick"] * 200)
    with bench.working({"a-consumer": handle}):
        until(lambda: len(bodies) == 200, what="the quick ones")
        assert b"slow" not in bodies
        go_on.set()

    assert bodies[-1] == b"slow"
    assert bench.api.messages(bench.vhost, "a-consumer") == 0


def test_a_consumer_that_blocks_does_not_slow_another(bench: Bench) -> None:
    bench.declare("blocked", "lively")
    go_on, bodies = threading.Event(), list[bytes]()
    bench.send("blocked", *[b"x"] * 50)
    bench.send("lively", *[b"y"] * 100)
    with bench.working({"blocked": waiting(go_on), "lively": collect(bodies)}):
        until(lambda: len(bodies) == 100, what="the lively consumer's work")
        go_on.set()


def test_ten_consumers_share_one_named_connection(bench: Bench) -> None:
    names = [f"consumer-{n}" for n in range(10)]
    bench.declare(*names)
    with bench.working({name: collect([]) for name in names}, concurrency=1) as broker:
        assert broker.threads == 10
        found = until(lambda: bench.api.connections(bench.vhost), what="the connection in the HTTP API")
        tags = until(lambda: [c["consumer_tag"] for c in bench.api.consumers(bench.vhost)], what="the consumers")

    [name] = [each["client_properties"]["connection_name"] for each in found]
    assert name.startswith("tidings consumers ")
    assert "#" in name
    assert sorted(tag.partition(" ")[0] for tag in tags) == sorted(names)
    assert {tag.partition(" ")[2] for tag in tags} == {name.removeprefix("tidings consumers ")}


def test_no_queue_is_declared_but_those_that_were_there(bench: Bench) -> None:
    """Dramatiq's own broker makes `.DQ` and `.XQ` queues."""
    bench.declare("a-consumer")
    with bench.working({"a-consumer": collect([])}):
        assert set(bench.api.queues(bench.vhost)) == {"a-consumer"}


def test_nothing_is_published_through_dramatiq() -> None:
    broker = TidingsBroker("amqp://nowhere.invalid/", publish=refuse, redeclare=refuse)
    broker.attach(Subscription("a-consumer", ("t",), refuse), lambda some: [Done() for _ in some])
    actor = broker.get_actor("a-consumer")

    for message in (actor.send, lambda: actor.send_with_options(delay=1_000)):
        with pytest.raises(RuntimeError, match="outbox"):
            message()  # type: ignore[no-untyped-call]


def test_making_a_broker_connects_to_nothing() -> None:
    before = threading.active_count()
    broker = TidingsBroker("amqp://nowhere.invalid/", publish=refuse, redeclare=refuse)
    broker.attach(Subscription("a-consumer", ("t",), refuse, concurrency=3), lambda some: [Done() for _ in some])

    assert (threading.active_count(), broker.connected, broker.threads) == (before, False, 3)
    assert broker.attached == {"a-consumer": False}
    with pytest.raises(QueueNotFound):
        broker.consume("unknown")


def test_a_url_that_cannot_be_read_is_said_so_without_its_password() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read") as raised:
        TidingsBroker("amqp://guest:SECRET@host:port:8/", publish=refuse, redeclare=refuse)

    assert "SECRET" not in str(raised.value)


def test_nothing_of_dramatiqs_own_handling_is_on() -> None:
    """No Retries, AgeLimit, Callbacks, Pipelines: what is on the list is ours."""
    broker = TidingsBroker("amqp://nowhere.invalid/", publish=refuse, redeclare=refuse)

    assert {type(each).__module__.partition(".")[0] for each in broker.middleware} == {"infra"}
    assert broker.actor_options == {"time_limit"}


def test_a_message_that_dramatiq_drops_undecided_comes_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stock Dramatiq acks it."""
    monkeypatch.setattr(consuming, "REQUEUE_PAUSE", 0.1)
    bench.declare("a-consumer")
    bench.send("a-consumer", b"x")
    seen: list[bytes] = []

    class SkipsTheFirst(Middleware):
        skipped = 0

        def before_process_message(self, _broker: dramatiq.Broker, _message: Any) -> None:
            self.skipped += 1
            if self.skipped == 1:
                raise SkipMessage

    with bench.working({"a-consumer": collect(seen)}, attached=False) as broker:
        broker.add_middleware(SkipsTheFirst())
        bench.send("a-consumer", b"x")
        until(lambda: len(seen) == 2, what="both")

    assert bench.api.messages(bench.vhost, "a-consumer") == 0


def test_a_retry_that_cannot_be_published_keeps_the_original(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handling, "PAUSES", (0.05,))
    bench.declare("a-consumer")
    bench.send("a-consumer", b"x")
    bench.publisher_is_dead = True
    with bench.working({"a-consumer": lambda _: RetryLater(5, "e")}):
        until(lambda: bench.tries > 3, what="some tries")

    assert bench.published == []
    until(lambda: bench.api.messages(bench.vhost, "a-consumer") == 1, what="the original in its queue")


def test_under_a_memory_alarm_the_original_stays_until_its_copy_is_confirmed(bench: Bench) -> None:
    """With the real publisher: the retry waits in its tier, once, and the queue is empty, only after the alarm."""
    bench.declare("a-consumer")
    publisher = BlockingPublisher(bench.vhost, name="a test's publisher")
    publisher.declare([("a-consumer", ["t"], "")])
    bench.send("a-consumer", b"x", message_id="an-id", type="t")
    tried = threading.Event()

    def handle(_: Incoming) -> Outcome:
        tried.set()
        return RetryLater(3_600, "e")

    with bench.api.memory_alarm():
        with bench.working({"a-consumer": handle}, publish=publisher.publish):
            assert tried.wait(10)
        assert bench.api.messages(bench.vhost, "a-consumer") == 1
    with bench.working({"a-consumer": handle}, publish=publisher.publish):
        until(lambda: bench.api.messages(bench.vhost, "retry.1h") >= 1, seconds=20, what="the copy")
    publisher.close()

    assert bench.api.messages(bench.vhost, "a-consumer") == 0


def test_a_body_too_large_to_park_reaches_the_dead_letters_through_its_queue(bench: Bench) -> None:
    publisher = BlockingPublisher(bench.vhost, name="a test's publisher")
    publisher.declare([("a-consumer", ["t"], "")])
    bench.send("a-consumer", b"x" * 300 * 1024)
    with bench.working({"a-consumer": lambda _: Park("too-large", "300 KiB")}, publish=publisher.publish):
        until(lambda: bench.api.messages(bench.vhost, "dead-letters") == 1, what="the dead letter")
    publisher.close()

    assert bench.api.messages(bench.vhost, "a-consumer") == 0


def test_outcomes_are_told_to_the_metrics(bench: Bench) -> None:
    bench.declare("a-consumer")
    bench.send("a-consumer", b"x")
    told: list[tuple[str, str, float]] = []
    with bench.working({"a-consumer": lambda _: Park("r", "e")}, attached=False) as broker:
        broker.on_outcome = lambda *outcome: told.append(outcome)
        bench.send("a-consumer", b"x")
        until(lambda: len(bench.published) == 2, what="both dead letters")

    assert ("a-consumer", "park") in {(consumer, outcome) for consumer, outcome, _ in told}


def test_no_body_is_ever_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """At the lowest level, of every logger, whatever the outcome."""
    caplog.set_level(logging.DEBUG)
    bench.declare("a-consumer")

    def handle(incoming: Incoming) -> Outcome:
        match incoming.body:
            case b"SECRET done":
                return Done()
            case b"SECRET park":
                return Park("r", "e")
            case _:
                raise ValueError(incoming.body)

    bench.send("a-consumer", b"SECRET done", b"SECRET park", b"SECRET raise", b'{"SECRET": "json"}', message_id="an-id")
    caplog.clear()
    with bench.working({"a-consumer": handle}):
        until(lambda: len(bench.published) == 3, what="all copies")

    out, err = capfd.readouterr()
    assert "an-id" in caplog.text + out
    assert "SECRET" not in caplog.text + out + err
