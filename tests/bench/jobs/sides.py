"""The sides of the bench of jobs: ours, Celery as it comes, and Celery told to lose nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from infra.database.migrations import migrate
from tests.bench import sides
from tests.bench.celery import libraries
from tests.bench.program import run
from tests.bench.sides import OURS, Place, Side

#: The operator's on our side; there is nothing behind it but this bench.
TOKEN = "token-of-the-bench"  # no secret
#: How many rows say that a job is through, and how many say that one went wrong.
Done = tuple[str, str]


@dataclass(frozen=True, slots=True)
class JobSide:
    """One side, and how to see in its database what became of its jobs."""

    side: Side
    done: Done
    #: Something else that must be 0 once all is through.
    wrong: str = "SELECT 0"

    @property
    def name(self) -> str:
        """As it is called in the table."""
        return self.side.name


def our_environment(place: Place) -> Mapping[str, str]:
    """What our programs are told."""
    further = {
        "TIDINGS_OPERATOR_TOKEN": TOKEN,
        "TIDINGS_CONSUMER_PACKAGES": "tests.bench.jobs.kinds",
    }
    return {**sides._our_environment(place), **further}


def _prepare_ours(place: Place) -> None:
    migrate(place.database)
    run(["consumers", "declare"], our_environment(place), place.folder / "declare.log")


def _celery_environment(place: Place, *, safe: bool) -> Mapping[str, str]:
    return {
        "PYTHONPATH": str(libraries.installed()),
        "CELERY_SIDE_BROKER": place.amqp,
        "CELERY_SIDE_RESULTS": f"db+{place.database}",
        "CELERY_SIDE_SAFE": "1" if safe else "",
    }


def _celery_gateway(place: Place) -> list[str]:
    options = ["--port", str(place.http_port), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    return ["uvicorn", "tests.bench.celery.app:app", *options]


def _celery(name: str, *, safe: bool, pool: str = "prefork", concurrency: int = 2) -> JobSide:
    worker = ("celery", "--app", "tests.bench.celery.work", "worker", "--loglevel", "WARNING")
    side = Side(
        name=name,
        environment=partial(_celery_environment, safe=safe),
        prepare=lambda _: None,
        gateway=_celery_gateway,
        consumers=(*worker, "--pool", pool, "--concurrency", str(concurrency)),
        ready="/docs",
    )
    through = "SELECT count(*) FROM celery_taskmeta WHERE status = '{}'"
    return JobSide(side, (through.format("SUCCESS"), through.format("FAILURE")))


_OURS = "SELECT count(*) FROM job WHERE state = '{}' AND kind = 'bench-digest'"
#: As many processes for jobs as Celery has for tasks.
_CONSUMERS = ("consumers", "--job-processes", "2")
OURS_JOBS = JobSide(
    replace(OURS, environment=our_environment, prepare=_prepare_ours, consumers=_CONSUMERS),
    (_OURS.format("succeeded"), _OURS.format("failed")),
    "SELECT count(*) FROM job WHERE state = 'succeeded' AND attempts <> 1",
)
#: By name. Celery has two processes beside its own by default on two cores; its threads are in one.
SIDES: Mapping[str, JobSide] = {
    each.name: each
    for each in (
        OURS_JOBS,
        _celery("celery", safe=False),
        _celery("celery-safe", safe=True),
        _celery("celery-threads", safe=False, pool="threads", concurrency=8),
        _celery("celery-threads-safe", safe=True, pool="threads", concurrency=8),
    )
}
#: What is measured unless somebody asks for others.
USUAL = ("ours", "celery", "celery-safe")
#: Reads a number from a side's database.
Ask = Callable[[str], int]
