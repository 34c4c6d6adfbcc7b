"""A queue is made anew while its consumer works, events are published, and failed ones return: none is lost."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from events.envelope import Event
from infra import pausing
from infra.pausing import Pausing
from infra.subscriptions import Context, Retry, Subscription
from tests import relays
from tests.consumption import Consumption, consuming
from tests.infra.topology.conftest import Run, Stage
from tests.waiting import until


class Shop:
    """A consumer that fails at about every third event's first try."""

    def __init__(self) -> None:
        self.handled: set[str] = set()

    def handle(self, _: Event, context: Context) -> None:
        """Fail, or take note of it."""
        if context.attempt == 1 and int(context.event_id[-2:], 16) % 3 == 0:
            raise ConnectionError("no credit")
        self.handled.add(context.event_id)


@contextmanager
def publishing(stage: Stage, ids: list[str]) -> Iterator[None]:
    """Meanwhile two events are accepted each tenth of a second."""
    stopped = threading.Event()

    def publish() -> None:
        while not stopped.wait(0.1):
            events = [relays.registered() for _ in range(2)]
            relays.add(stage.database, events)
            ids.extend(each.id for each in events)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


@contextmanager
def following(stage: Stage, at_work: Consumption, subscription: Subscription) -> Iterator[None]:
    """Meanwhile the worker follows the table of pauses, as the program does."""
    follower = Pausing(stage.database, at_work.broker, [subscription], holder="test")
    follower.start()
    try:
        yield
    finally:
        follower.stop()


def test_no_event_is_lost_while_its_queue_is_made_anew(stage: Stage, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pausing, "LOOK_EVERY", 0.1)
    shop, ids = Shop(), list[str]()
    sms = Subscription(
        "sms", ("user.registered",), shop.handle, retry=Retry(delays=(5,)), description="Old", pause_after=None
    )
    stage.subscriptions[:] = [replace(sms, description="New")]
    with consuming(stage.vhost, stage.database, [sms], {}) as at_work, relays.running(stage.database, stage.vhost):
        with following(stage, at_work, sms), publishing(stage, ids):
            until(lambda: len(shop.handled) > 10, what="the first events")
            assert 0 == run("apply", "--yes")[0]
            before = len(ids)
            until(lambda: len(ids) > before + 10, what="events after it")
        until(lambda: set(ids) <= shop.handled, seconds=30, what="the end of all events")
    assert "New" == stage.api.queues(stage.vhost)["sms"]["arguments"]["x-description"]
