"""The parent of the worker processes: it ends when a worker does, at whatever moment that dies."""

import multiprocessing.synchronize
import os
import subprocess
import sys
import threading
from pathlib import Path

import dramatiq
from dramatiq.brokers.stub import StubBroker

ROOT = Path(__file__).parents[3]
CODE = 86


def die_with_the_lock(event: multiprocessing.synchronize.Event) -> None:
    """What an Event's `set` is when the process dies inside."""
    event._cond.acquire()  # type: ignore[attr-defined]
    os._exit(CODE)


def compose() -> None:
    """A composition root whose worker dies as it begins, at the worst place if it comes by there."""
    multiprocessing.synchronize.Event.set = die_with_the_lock  # type: ignore[assignment]
    dramatiq.set_broker(StubBroker())
    threading.Timer(0.5, os._exit, [CODE]).start()


def test_the_parent_ends_though_its_worker_died_while_it_said_that_it_has_started() -> None:
    run = "import sys; from infra.rabbitmq.workers import work; sys.exit(work(sys.argv[1], processes=1))"
    done = subprocess.run(
        [sys.executable, "-c", run, f"{__name__}:compose"], cwd=ROOT, timeout=30, capture_output=True, check=False
    )
    assert CODE == done.returncode, done.stderr
