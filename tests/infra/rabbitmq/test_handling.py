"""Rules of how an outcome becomes a verdict, without a broker."""

import threading
import time
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from pika.spec import Basic, BasicProperties

from infra.errors import BrokerUnavailable, MessageRefused, NotConfirmed, Unroutable
from infra.outcomes import Done, Hold, Incoming, Outcome, Park, RetryLater
from infra.rabbitmq import handling as module
from infra.rabbitmq.deliveries import Delivery, Epoch, Verdict
from infra.rabbitmq.handling import Handling
from infra.rabbitmq.messages import Message
from infra.rabbitmq.time_limit import HandlerTimeLimit
from tests.waiting import until
from tests.workers import one_by_one

PROPERTIES: dict[str, Any] = {
    "message_id": "an-id",
    "type": "user.registered",
    "correlation_id": "a-cause",
    "timestamp": 1_700_000_000,
    "app_id": "/gateway",
    "headers": {"x-attempt": 2, "traceparent": "00-a-b-01", "x-death": [{"count": 7}], "x-delivery-count": 3},
}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES", (0.01,))


class Run:
    """One delivery, what was published for it, and what was observed."""

    def __init__(self, *outcomes: Outcome | BaseException, failures: list[Exception] | None = None) -> None:
        self.outcomes, self.failures = list(outcomes), failures or []
        self.published: list[Message] = []
        self.observed: list[tuple[str, str]] = []
        self.stopping = threading.Event()
        self.limit = HandlerTimeLimit()
        self.delivery = Delivery(
            "a-consumer", Epoch(), Basic.Deliver("a-tag", 1, False, "", ""), BasicProperties(**PROPERTIES), b"SECRET"
        )

    def verdict(self, handle: Callable[[Incoming], Outcome] | None = None, timeout: float = 60.0) -> Verdict:
        Handling(
            consumer="a-consumer",
            handle=one_by_one(handle or self._next),
            timeout=timeout,
            publish=self._publish,
            limit=self.limit,
            stopping=self.stopping,
            observe=lambda consumer, outcome, _: self.observed.append((consumer, type(outcome).__name__.lower())),
        ).run([self.delivery])
        return self.delivery.verdict

    def _next(self, _: Incoming) -> Outcome:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _publish(self, message: Message) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.published.append(message)


def test_done_is_acked_and_nothing_published() -> None:
    run = Run(Done())

    assert run.verdict() is Verdict.ACK
    assert run.published == []
    assert run.observed == [("a-consumer", "done")]


def test_a_retry_is_a_copy_in_the_tier_and_then_the_ack() -> None:
    run = Run(RetryLater(30, "SMTP 451"))

    assert run.verdict() is Verdict.ACK
    [copy] = run.published
    assert (copy.exchange, copy.routing_key, copy.body) == ("retry.30s", "a-consumer", b"SECRET")
    assert (copy.message_id, copy.type, copy.correlation_id) == ("an-id", "user.registered", "a-cause")
    assert (copy.app_id, copy.headers["x-attempt"], copy.headers["traceparent"]) == ("/gateway", 3, "00-a-b-01")


def test_parking_is_a_copy_in_the_dead_letters_and_then_the_ack() -> None:
    run = Run(Park("not-json", "no JSON at byte 0"))

    assert run.verdict() is Verdict.ACK
    assert [copy.exchange for copy in run.published] == ["dead"]


@pytest.mark.parametrize("outcome", [RetryLater(5, "e"), Park("r", "e")])
def test_a_copy_never_carries_headers_of_the_broker(outcome: Outcome) -> None:
    run = Run(outcome)
    run.verdict()

    assert not {"x-death", "x-delivery-count"} & set(run.published[0].headers)


@pytest.mark.parametrize("failure", [BrokerUnavailable("b"), NotConfirmed("n"), Unroutable("u"), OSError("o")])
def test_a_copy_that_was_not_confirmed_is_published_again_before_the_ack(failure: Exception) -> None:
    run = Run(RetryLater(5, "e"), failures=[failure, failure])

    assert run.verdict() is Verdict.ACK
    assert len(run.published) == 1


def test_a_copy_that_is_never_confirmed_gives_the_original_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PUBLISH_TRIES", 3)
    run = Run(Park("r", "e"), failures=[BrokerUnavailable("away")] * 9)

    assert run.verdict() is Verdict.REQUEUE
    assert run.published == []


def test_a_copy_that_can_never_be_published_leaves_the_original_to_the_brokers_own_dead_lettering() -> None:
    run = Run(Park("too-large", "300 KiB"), failures=[MessageRefused("too large")])

    assert run.verdict() is Verdict.REJECT


def test_the_original_is_left_alone_when_the_process_stops_before_its_copy_is_confirmed() -> None:
    run = Run(RetryLater(5, "e"), failures=[BrokerUnavailable("away")] * 10_000)
    thread = threading.Thread(target=run.verdict)
    thread.start()
    until(lambda: len(run.failures) < 10_000, what="a try")
    run.stopping.set()
    thread.join(5)

    assert run.delivery.verdict is Verdict.LEAVE
    assert run.published == []


def test_a_held_delivery_is_tried_again_until_it_is_decided() -> None:
    run = Run(Hold("database away"), Hold("database away"), Done())

    assert run.verdict() is Verdict.ACK
    assert [outcome for _, outcome in run.observed] == ["hold", "hold", "done"]


def test_a_held_delivery_is_let_go_when_its_channel_has_ended() -> None:
    run = Run(*[Hold("database away")] * 1_000)
    thread = threading.Thread(target=run.verdict)
    thread.start()
    until(lambda: len(run.observed) > 2, what="a few tries")
    run.delivery.epoch.live = False
    thread.join(5)

    assert run.delivery.verdict is Verdict.LEAVE


@pytest.mark.parametrize("error", [ValueError("SECRET"), SystemExit(3), KeyboardInterrupt(), RecursionError()])
def test_whatever_escapes_is_a_retry_whose_error_names_the_class_only(error: BaseException) -> None:
    run = Run(error)

    assert run.verdict() is Verdict.ACK
    [copy] = run.published
    assert copy.exchange == "retry.30s"
    assert copy.headers["x-tidings-error"] == f"internal: {type(error).__name__}"


def test_what_escapes_again_and_again_ends_in_the_dead_letters() -> None:
    run = Run(RuntimeError("SECRET"))
    run.delivery.properties.headers["x-attempt"] = 6

    assert run.verdict() is Verdict.ACK
    [copy] = run.published
    assert ("dead", "handler-error", "internal: RuntimeError") == (
        copy.exchange,
        copy.headers["x-tidings-reason"],
        copy.headers["x-tidings-error"],
    )


def test_a_header_that_could_burst_the_copys_frame_is_left_behind() -> None:
    """All headers of a message travel in one frame, and the broker closes the connection over a larger one."""
    run = Run(RetryLater(5, "e"))
    run.delivery.properties.headers["traceparent"] = "x" * 100_000

    assert run.verdict() is Verdict.ACK
    assert "traceparent" not in run.published[0].headers


def test_a_handler_over_its_time_is_a_retry() -> None:
    run = Run()
    dramatiq.Broker(middleware=[run.limit]).emit_before("worker_boot", None)

    assert run.verdict(spin, timeout=0.1) is Verdict.ACK
    assert run.published[0].headers["x-tidings-error"] == "internal: TimeLimitExceeded"


def test_a_handler_that_the_end_of_the_process_interrupts_is_left_and_costs_no_try() -> None:
    run = Run()
    dramatiq.Broker(middleware=[run.limit]).emit_before("worker_boot", None)
    started = threading.Event()

    def handle(incoming: Incoming) -> Outcome:
        started.set()
        return spin(incoming)

    thread = threading.Thread(target=run.verdict, args=(handle,))
    thread.start()
    assert started.wait(5)
    run.stopping.set()
    run.limit.end_within(0.1)
    thread.join(5)

    assert run.delivery.verdict is Verdict.LEAVE
    assert run.published == []


def test_a_delivery_of_an_ended_channel_is_not_started() -> None:
    run = Run(Done())
    run.delivery.epoch.live = False

    assert run.verdict() is Verdict.LEAVE
    assert run.observed == []


def test_no_delivery_is_started_once_the_process_stops() -> None:
    run = Run(Done())
    run.stopping.set()

    assert run.verdict() is Verdict.LEAVE
    assert run.observed == []


def test_an_answer_that_is_no_outcome_is_not_an_ack() -> None:
    run = Run()
    with pytest.raises(AssertionError):  # Dramatiq logs it and comes to our Consumer
        run.verdict(lambda _: None)  # type: ignore[arg-type,return-value]

    assert run.delivery.verdict is Verdict.REQUEUE


def spin(_: Incoming) -> Outcome:
    while True:
        time.sleep(0.001)
