"""Rules of a worker's end: what is in flight finishes, what is not goes back, and a half-dead process ends itself."""

import socket
import subprocess
import sys
import textwrap
import threading
import time

from infra.outcomes import Done, Incoming, Outcome
from infra.rabbitmq.consuming import Consuming
from infra.rabbitmq.lanes import Lane
from infra.rabbitmq.watchdog import EXIT_CODE
from tests.waiting import until
from tests.workers import Bench, collect


class Beside:
    """Says what was asked of it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def start(self) -> None:
        self.told.append("start")

    def stop(self) -> None:
        self.told.append("stop")


def test_a_companion_is_started_and_stopped_with_the_worker(bench: Bench) -> None:
    bench.declare("a-consumer")
    beside = Beside()
    with bench.working({"a-consumer": collect([])}, companions=[beside]):
        until(lambda: beside.told == ["start"], what="the start")
    assert ["start", "stop"] == beside.told


def test_the_end_finishes_what_is_in_flight_and_returns_the_rest(bench: Bench) -> None:
    bench.declare("a-consumer")
    bench.send("a-consumer", *[b"%d" % n for n in range(20)])
    started, stopping, ended, threads = list[bytes](), threading.Event(), list[bytes](), list[threading.Thread]()

    def go_on(end_has_begun: threading.Event) -> None:
        end_has_begun.wait(10)
        stopping.set()

    def handle(incoming: Incoming) -> Outcome:
        started.append(incoming.body)
        stopping.wait(10)
        ended.append(incoming.body)
        return Done()

    with bench.working({"a-consumer": handle}, concurrency=2) as broker:
        until(lambda: len(started) == 2, what="two in flight")
        threads.append(threading.Thread(target=go_on, args=(broker._consuming.stopping,)))
        threads[0].start()
    threads[0].join()

    assert sorted(ended) == sorted(started)
    assert len(ended) == 2
    left = [body for _, body in bench.api.take(bench.vhost, "a-consumer")]
    assert sorted(left + ended) == sorted(b"%d" % n for n in range(20))


def test_a_worker_that_ends_takes_nothing_new(bench: Bench) -> None:
    bench.declare("a-consumer")
    bench.send("a-consumer", b"first")
    started, go_on = list[bytes](), threading.Event()

    def handle(incoming: Incoming) -> Outcome:
        started.append(incoming.body)
        go_on.wait(10)
        return Done()

    def send_more(stopping: threading.Event) -> None:
        stopping.wait(10)
        bench.send("a-consumer", b"second")
        go_on.set()

    with bench.working({"a-consumer": handle}) as broker:
        until(lambda: started, what="the first in flight")
        sender = threading.Thread(target=send_more, args=(broker._consuming.stopping,))
        sender.start()
    sender.join()

    assert started == [b"first"]
    assert [body for _, body in bench.api.take(bench.vhost, "a-consumer")] == [b"second"]


def test_a_handler_that_outlives_the_grace_is_interrupted_and_its_message_returns(bench: Bench) -> None:
    bench.declare("a-consumer")
    bench.send("a-consumer", b"x")
    started = threading.Event()

    def handle(_: Incoming) -> Outcome:
        started.set()
        while True:
            time.sleep(0.01)

    with bench.working({"a-consumer": handle}, grace=0.2):
        assert started.wait(10)
        began = time.monotonic()

    assert time.monotonic() - began < 5
    assert bench.published == []
    assert bench.api.messages(bench.vhost, "a-consumer") == 1


def run_with_a_dead_thread(bench: Bench, *, before: str = "", then: str = "") -> subprocess.CompletedProcess[str]:
    """A worker process in which a thread dies of an error in somebody else's code, put in before it starts or then."""
    program = f"""
        import time
        from dramatiq import Worker
        from dramatiq.worker import WorkerThread
        from infra.outcomes import Done
        from infra.rabbitmq.broker import TidingsBroker
        from infra.subscriptions import Subscription

        def die(*_):
            raise RuntimeError("a bug")

        {before}
        broker = TidingsBroker({bench.vhost!r}, publish=print, redeclare=print)
        broker.attach(Subscription("a-consumer", ("t",), print), lambda some: [Done() for _ in some])
        worker = Worker(broker, worker_threads=broker.threads)
        worker.start()
        while not all(broker.attached.values()):
            time.sleep(0.05)
        {then}
        time.sleep(20)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_dead_worker_thread_ends_the_process(bench: Bench) -> None:
    """With stock Dramatiq the process stays, looks healthy and does nothing."""
    bench.declare("a-consumer")
    bench.send("a-consumer", b"x")
    done = run_with_a_dead_thread(bench, before="WorkerThread.process_message = die")

    assert done.returncode == EXIT_CODE
    assert "a thread died" in done.stdout
    assert bench.api.messages(bench.vhost, "a-consumer") <= 1


def test_a_dead_io_thread_ends_the_process(bench: Bench) -> None:
    bench.declare("a-consumer")
    done = run_with_a_dead_thread(bench, then="broker._consuming._loop.add_callback_threadsafe(die)")

    assert done.returncode == EXIT_CODE
    assert "tidings consuming" in done.stdout


def test_a_worker_that_never_reached_the_broker_ends_at_once(bench: Bench) -> None:
    with bench.working({"a-consumer": lambda _: Done()}, attached=False, redeclare=lambda: None):
        began = time.monotonic()

    assert time.monotonic() - began < 4


def test_the_end_closes_a_connection_that_is_being_made() -> None:
    """The broker accepts and says nothing: nobody waits for it, and no socket is left behind."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        consuming = Consuming(f"amqp://127.0.0.1:{silent.getsockname()[1]}", "test", lambda: None)
        consuming.consume(Lane("a-consumer", 1))
        accepted, _ = silent.accept()
        with accepted:
            accepted.settimeout(5)
            assert accepted.recv(8).startswith(b"AMQP")
            began = time.monotonic()
            consuming.close()
            assert b"" == accepted.recv(8)
            assert 2 > time.monotonic() - began
