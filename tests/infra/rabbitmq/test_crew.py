"""Worker threads are there when there is work for them, and go when there is none."""

import threading

import pytest
from dramatiq import Worker
from dramatiq.brokers.stub import StubBroker

from infra.outcomes import Done, Incoming, Outcome
from infra.rabbitmq import crew, watchdog
from infra.rabbitmq.crew import Crew
from tests.waiting import until
from tests.workers import Bench, collect


class Gate:
    """A handler that waits until it is opened."""

    def __init__(self) -> None:
        self.inside = threading.Semaphore(0)
        self.open = threading.Event()
        self.seen = 0

    def __call__(self, _: Incoming) -> Outcome:
        self.seen += 1
        self.inside.release()
        self.open.wait(10)
        return Done()


@pytest.fixture
def worker() -> Worker:
    """One that was never started."""
    return Worker(StubBroker(), worker_timeout=100)


def size(bench: Bench) -> int:
    assert bench.worker is not None
    return len(bench.worker.workers)


def test_an_idle_worker_has_one_thread_however_many_consumers_it_has(bench: Bench) -> None:
    names = [f"consumer-{n}" for n in range(5)]
    bench.declare(*names)
    with bench.working({name: collect([]) for name in names}) as broker:
        assert (20, 1, 1) == (broker.threads, size(bench), len(bench.worker.consumers) if bench.worker else 0)


def test_there_is_a_thread_for_each_message_that_may_be_in_flight(bench: Bench) -> None:
    bench.declare("one", "other")
    bench.send("one", *[b"x"] * 9)
    bench.send("other", *[b"x"] * 9)
    gates = {"one": Gate(), "other": Gate()}
    with bench.working(dict(gates), concurrency=3):
        for gate in gates.values():
            assert all(gate.inside.acquire(timeout=10) for _ in range(3))
        assert 6 == size(bench)
        for gate in gates.values():
            gate.open.set()
        until(lambda: all(gate.seen == 9 for gate in gates.values()), what="all of them")
    assert 6 == size(bench)


def test_threads_without_work_go_and_come_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "IDLE", 0.0)
    bench.declare("one")
    bench.send("one", *[b"x"] * 4)
    gate = Gate()
    with bench.working({"one": gate}, concurrency=4):
        until(lambda: size(bench) == 4, what="four threads")
        gate.open.set()
        until(lambda: size(bench) == 1, what="the end of the others")
        bench.send("one", *[b"x"] * 4)
        until(lambda: gate.seen == 8, what="the second lot")
        assert bench.all_threads_live


def test_a_crew_that_is_closed_starts_no_thread(worker: Worker) -> None:
    """The worker would neither stop nor join it."""
    closed = Crew()
    closed.take_over(worker)
    closed.close()
    closed.begin()
    closed.give()
    assert [] == worker.workers


def test_a_thread_that_is_told_to_stop_before_it_runs_ends(worker: Worker) -> None:
    """Dramatiq's own would run on: it says that it runs only when it does."""
    made = Crew()
    made.take_over(worker)
    made.begin()
    (member,) = worker.workers
    member.stop()
    member.join(5)
    assert not member.is_alive()


def test_a_thread_that_is_about_to_start_or_has_left_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog ends the process for a dead one, so it must not see one in a crew that grows and shrinks."""
    monkeypatch.setattr(watchdog, "INTERVAL", 0.01)
    ended: list[list[str]] = []
    monkeypatch.setattr(watchdog, "_end", ended.append)
    gone = threading.Thread(target=lambda: None)
    gone.start()
    gone.join()
    looks: list[int] = []

    def threads() -> list[threading.Thread]:
        looks.append(1)
        return [threading.Thread()] + [gone] * (len(looks) == 1)

    dog = watchdog.Watchdog(threads)
    dog.start()
    until(lambda: len(looks) > 4, what="some looks")
    dog.stop()
    dog.join(5)
    assert [] == ended
