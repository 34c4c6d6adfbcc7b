"""Lanes that hold no more than is at work, as those of jobs do."""

import threading

import pytest

from infra.outcomes import Done, Incoming, Outcome
from infra.rabbitmq import consuming
from tests.waiting import until
from tests.workers import Bench, collect


def test_many_small_ones_pass_a_long_one_without_waiting_to_be_acked_together(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "STRAGGLE", 600.0)
    monkeypatch.setattr(consuming, "GATHER", 600.0)
    bodies, may_end = list[bytes](), threading.Event()

    def handle(incoming: Incoming) -> Outcome:
        bodies.append(incoming.body)
        if incoming.body == b"long":
            may_end.wait(60)
        return Done()

    bench.declare("jobs")
    bench.send("jobs", b"long", *[b"small"] * 50)
    with bench.working({"jobs": handle}, concurrency=2, prefetch=2):
        until(lambda: len(bodies) == 51, seconds=30, what="the small ones")
        may_end.set()
    assert 0 == bench.api.messages(bench.vhost, "jobs")


def test_what_waits_behind_long_ones_waits_in_the_queue_where_another_process_can_take_it(bench: Bench) -> None:
    begun, may_end = list[bytes](), threading.Event()

    def handle(incoming: Incoming) -> Outcome:
        begun.append(incoming.body)
        may_end.wait(60)
        return Done()

    bench.declare("jobs")
    bench.send("jobs", b"1", b"2", b"3", b"4", b"5")
    with bench.working({"jobs": handle}, concurrency=2, prefetch=2):
        until(lambda: len(begun) == 2, what="two at work")
        assert 3 == bench.api.messages(bench.vhost, "jobs")
        may_end.set()
        until(lambda: len(begun) == 5, what="all of them")


def test_many_small_ones_of_one_kind_do_not_keep_a_long_one_of_another_from_beginning(bench: Bench) -> None:
    small, long = list[bytes](), list[bytes]()
    bench.declare("small", "long")
    bench.send("small", *[b"x"] * 2_000)
    bench.send("long", b"y")
    with bench.working({"small": collect(small), "long": collect(long)}, concurrency=2, prefetch=2):
        until(lambda: long, seconds=30, what="the long one")
        assert len(small) < 2_000, "which did not wait for the end of the others"
        until(lambda: len(small) == 2_000, seconds=60, what="the small ones")
