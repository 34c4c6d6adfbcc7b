"""Jobs on a real broker: one that outlasts its patience, one whose process stops, one that is paused."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import dramatiq
import pytest

from events.envelope import Envelope, encode
from infra.database.engine import Database, connect
from infra.jobs.handlers import Job
from infra.rabbitmq.blocking import BlockingPublisher
from infra.rabbitmq.broker import TidingsBroker
from infra.rabbitmq.modes import Mode
from infra.subscriptions import Subscription
from tests import jobs
from tests.brokers import BrokerApi
from tests.jobs import Steps, ask, kind_of_jobs, row_of
from tests.waiting import until

KIND = "tested"


class Yard:
    """A virtual host, a database, and processes that do jobs, all of them in the test's own."""

    def __init__(self, database: Database, vhost: str, api: BrokerApi, folder: Path) -> None:
        self.database, self.vhost, self.api = database, vhost, api
        self.folder = folder
        self.publisher = BlockingPublisher(vhost, name="test")
        #: Outcomes of deliveries, of all processes.
        self.outcomes: list[str] = []

    def declare(self) -> None:
        self.publisher.declare([(KIND, (f"job.requested.{KIND}",), "Test")])

    def send(self, envelope: Envelope) -> None:
        """As the relay would."""
        with self.api.channel(self.vhost) as channel:
            channel.confirm_delivery()
            channel.basic_publish("", KIND, encode(envelope), mandatory=True)

    @contextmanager
    def process(self, subscription: Subscription) -> Iterator[TidingsBroker]:
        """One that works, until the block ends and it stops."""
        worker = jobs.Worker(self.database, self.folder)
        broker = TidingsBroker(
            self.vhost, publish=self.publisher.publish, redeclare=self.declare, name="jobs", grace=5.0
        )
        # The lease ends soon, so whoever meets it looks again soon.
        worker.make(is_stopping=lambda: broker.is_stopping, lease=timedelta(seconds=8))
        broker.on_outcome = lambda _, outcome, __: self.outcomes.append(outcome)
        broker.attach(subscription, worker.deliveries.handler(subscription))
        runs = dramatiq.Worker(broker, worker_threads=broker.threads, worker_timeout=100)
        runs.start()
        try:
            until(lambda: all(broker.attached.values()), what="the attachment")
            yield broker
        finally:
            runs.stop(timeout=20_000)
            broker.close()
            worker.close()


@pytest.fixture
def yard(sqlite_url: str, vhost: str, broker_api: BrokerApi, tmp_path: Path) -> Iterator[Yard]:
    database = connect(sqlite_url)
    made = Yard(database, vhost, broker_api, tmp_path / "results")
    made.declare()
    yield made
    made.publisher.close()
    database.close()


def state(yard: Yard, envelope: Envelope) -> str:
    return str(row_of(yard.database, envelope).state)


@pytest.mark.timeout(180)
def test_a_job_that_outlasts_the_brokers_patience_and_never_looks_is_run_by_one_worker_and_ends_once(
    yard: Yard,
) -> None:
    runs, may_end = list[str](), threading.Event()

    def stare(_parameters: Steps, job: Job) -> str:
        runs.append(job.id)
        may_end.wait(120)
        return "done"

    with kind_of_jobs(stare, KIND) as subscription, ExitStack() as processes:
        with yard.api.consumer_timeout(1.0):
            for _ in range(2):
                processes.enter_context(yard.process(subscription))
            envelope = ask(yard.database, KIND, steps=1)
            yard.send(envelope)
            until(lambda: yard.outcomes.count("comeback") >= 2, seconds=90, what="two further deliveries of it")
            assert (1, "running") == (len(runs), state(yard, envelope))
            may_end.set()
            until(lambda: state(yard, envelope) == "succeeded", what="its end")
        until(lambda: yard.outcomes.count("done") >= 2, seconds=60, what="the end of what has come back")
        row = row_of(yard.database, envelope)
    assert (1, 1, "handled") == (len(runs), row.attempts, jobs.entry(yard.database, envelope.id).state)
    assert 0 == yard.api.messages(yard.vhost, KIND)


def test_a_process_that_stops_hands_its_job_back_and_the_next_goes_on_at_the_checkpoint(yard: Yard) -> None:
    begun, steps, is_last = threading.Event(), list[int](), threading.Event()

    def go(_parameters: Steps, job: Job) -> str:
        number = job.resume_state or 0
        while not is_last.is_set():
            steps.append(number)
            number += 1
            job.checkpoint(number)
            begun.set()
            threading.Event().wait(0.05)
        return "done"

    with kind_of_jobs(go, KIND) as subscription:
        envelope = ask(yard.database, KIND, steps=1)
        with yard.process(subscription):
            yard.send(envelope)
            assert begun.wait(30)
        row = row_of(yard.database, envelope)
        assert ("queued", None, ["comeback"]) == (row.state, row.busy_until, yard.outcomes)
        is_last.set()
        with yard.process(subscription):
            until(lambda: state(yard, envelope) == "succeeded", seconds=30, what="its end")
    assert list(range(len(steps))) == steps, "no step was done twice"
    assert 1 == row_of(yard.database, envelope).attempts


def test_while_its_kind_is_paused_a_job_at_work_goes_on_and_no_other_begins(yard: Yard) -> None:
    begun, may_end = list[str](), threading.Event()

    def wait(_parameters: Steps, job: Job) -> str:
        begun.append(job.id)
        may_end.wait(60)
        return "done"

    with kind_of_jobs(wait, KIND) as subscription, yard.process(subscription) as broker:
        first, second = ask(yard.database, KIND, steps=1), ask(yard.database, KIND, steps=2)
        yard.send(first)
        until(lambda: begun, what="the first")
        broker.turn(KIND, Mode.PAUSED)
        until(lambda: not broker.attached[KIND], what="the pause")
        yard.send(second)
        may_end.set()
        until(lambda: state(yard, first) == "succeeded", what="its end")
        assert (1, 1) == (len(begun), yard.api.messages(yard.vhost, KIND))
        broker.turn(KIND, Mode.RUNNING)
        until(lambda: state(yard, second) == "succeeded", what="the second")
