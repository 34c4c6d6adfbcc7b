"""Ten thousand requests made from the gateway's own OpenAPI document, to a real server: it never fails in itself."""

from collections import Counter
from collections.abc import Iterator
from itertools import count, product
from random import Random
from typing import Any

import pytest
import requests
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from infra.database import schedules
from infra.database.engine import Database
from infra.database.schedules import Definition
from infra.jobs.storing import Folder
from infra.settings import Settings
from tests import given_up, kinds
from tests.gateway.conftest import TOKEN
from tests.madejobs import Jobs
from tests.web_server import WebServer

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
REQUESTS = 10_000
#: Of each operation, with data as the document has them and with others, before its turn comes again.
IN_A_ROW = 60
_OPERATOR = {"authorization": f"Bearer {TOKEN}"}
#: Operation -> field of its body -> what it may hold: of what is made up, nothing would be the name of an event type.
GOOD: dict[str, dict[str, list[Any]]] = {
    "POST /events": {
        "type": ["heartbeat.ticked"],
        "data": [{"due_at": "2030-01-01T00:00:00Z"}, {"due_at": "0001-01-01T00:00:00+14:00"}],
    },
    "POST /jobs": {
        "kind": [kinds.REPORT, "anything", "joining"],
        "parameters": [{"since": "2030-01-01T00:00:00Z"}, {"since": "0001-01-01T00:00:00+14:00", "parts": [{}]}, {}],
    },
    "POST /schedules": {
        "name": ["one", "two", "three-of-many", "in-code"],
        "type": ["heartbeat.ticked", "user.registered"],
        "data": [{"due_at": "2030-01-01T00:00:00Z"}, {}],
        "trigger": [{"every": "1s"}, {"cron": "0 0 30 2 *"}, {"cron": "*/5 * 29 2 SUN#5", "zone": "Pacific/Apia"}],
    },
    "POST /schedules/{name}/backfill": {
        "since": ["2026-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2026-03-29T00:59:59+00:00"],
        "until": ["2026-01-01T01:00:00Z", "2026-03-29T02:30:00+02:00", None],
    },
}
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


class Fuzz:
    """Sends requests to a real server and counts how it answered."""

    def __init__(self, app: FastAPI, port: int) -> None:
        self._schema = schemathesis.openapi.from_asgi("/openapi.json", app)
        self._url = f"http://127.0.0.1:{port}"
        self._session = requests.Session()
        self._random = Random(3)
        #: Path parameter -> what exists: a made-up id finds nothing, and what lies behind is never reached.
        self.existing: dict[str, list[str]] = {}
        #: Where the gateway looks for the files of results.
        self.results: Folder
        #: (Operation, status) -> answers.
        self.answers: Counter[tuple[str, int]] = Counter()
        self.failures: list[str] = []

    def send(self, requests_: int) -> None:
        """At least so many, in rounds over all operations."""
        operations = [found.ok() for found in self._schema.get_all_operations() if isinstance(found, Ok)]
        for round_ in count():
            for operation, mode in product(operations, MODES):
                self._some(operation, mode, round_)
            if self.answers.total() >= requests_:
                return

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """One good request; gives what it made."""
        answer = self._session.post(self._url + path, json=body, headers=_OPERATOR, timeout=20)
        assert answer.status_code < 300
        return answer.json()

    def close(self) -> None:
        self._session.close()

    def _some(self, operation: Any, mode: GenerationMode, round_: int) -> None:
        @seed(round_)
        @settings(max_examples=IN_A_ROW, database=None, deadline=None, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def call(case: Any) -> None:
            self._call(operation.label, case)

        try:
            call()
        except Unsatisfiable:  # an operation without parameters takes no wrong ones
            assert mode is GenerationMode.NEGATIVE

    def _call(self, label: str, case: Any) -> None:
        for name in set(case.path_parameters or {}) & set(self.existing):
            if self._random.random() < 0.5:
                case.path_parameters[name] = self._random.choice(self.existing[name])
        if isinstance(case.body, dict):
            case.body |= self._good_body(label)
        answer = case.call(base_url=self._url, headers=_OPERATOR, session=self._session, timeout=20)
        self.answers[label, answer.status_code] += 1
        if answer.status_code >= 500:
            self.failures.append(f"{answer.status_code}: {case.as_curl_command()}")

    def _good_body(self, label: str) -> dict[str, Any]:
        return {
            name: self._random.choice(some) for name, some in GOOD.get(label, {}).items() if self._random.random() < 0.8
        }


@pytest.fixture
def fuzz(app: FastAPI, settings: Settings) -> Iterator[Fuzz]:
    app.state.watching.end()  # a stream says where its job stands, and need not be waited for
    with WebServer(app) as server:
        fuzz = Fuzz(app, server.port)
        fuzz.results = Folder(settings.state_dir / "results")
        yield fuzz
        fuzz.close()


def existing(fuzz: Fuzz, database: Database) -> dict[str, list[str]]:
    """One of everything that a path can name, and letters enough for those who discard them."""
    given_up.declare(database, given_up.SMS, "welcome-email")
    letters = [given_up.letter(given_up.registered(), number) for number in range(20)]
    kept = given_up.keep(database, [*letters, given_up.undecodable(b"\x00\xff")])
    registered = fuzz.post("/users", {"name": "Ada", "email": "ada@example.com"})
    operation = fuzz.post("/dead-letters/replay", {"consumer": given_up.SMS, "why": "a fuzz"})
    ids = [registered["id"], registered["event_id"], operation["id"], *kept, *(to_come(fuzz) for _ in range(20))]
    ids += work(fuzz, database)
    return {"id": ids, "name": ["report.csv", given_up.SMS, "welcome-email", *timetable(fuzz, database)]}


def to_come(fuzz: Fuzz) -> str:
    """An event that waits for its time."""
    event = {"type": "heartbeat.ticked", "data": {"due_at": "2030-01-01T00:00:00Z"}, "delay": "1d"}
    return str(fuzz.post("/events", event)["id"])


def work(fuzz: Fuzz, database: Database) -> list[str]:
    """Jobs of which some are over, and some can still be called off."""
    kinds.declare(
        database,
        kinds.subscription(),
        kinds.subscription("anything", kinds.Anything),
        kinds.subscription("joining", kinds.Report, unique="join"),
    )
    made = [str(fuzz.post("/jobs", {"kind": "anything"})["id"]) for _ in range(12)]
    for job_id, state in zip(made, ("running", "succeeded", "failed", "cancelled"), strict=False):
        kinds.change(database, job_id, state=state)
    result = ("report.csv", "text/csv", b"1,2\n")
    return [*made, *(Jobs(database, fuzz.results).made("succeeded", result) for _ in range(3))]


def timetable(fuzz: Fuzz, database: Database) -> list[str]:
    """A schedule of the code's, and two of an operator's, of which one has a run and one is paused."""
    made = Definition(name="in-code", trigger={"every": "1s"}, type="heartbeat.ticked")
    with database.transaction() as session:
        schedules.declare(session, [made])
    for name, trigger in {
        "by-day": {"daily": "02:30", "zone": "Europe/Berlin"},
        "by-cron": {"cron": "* * * * *"},
    }.items():
        data = {"due_at": "2030-01-01T00:00:00Z"}
        fuzz.post("/schedules", {"name": name, "trigger": trigger, "type": "heartbeat.ticked", "data": data})
    fuzz.post("/schedules/by-day/run", {"why": "a fuzz"})
    with database.transaction() as session:
        schedules.pause(session, "by-cron", "me", "a fuzz")
    return ["in-code", "by-day", "by-cron"]


@pytest.mark.timeout(900)
def test_ten_thousand_requests_never_fail_in_us(fuzz: Fuzz, database: Database) -> None:
    fuzz.existing = existing(fuzz, database)
    fuzz.send(REQUESTS)
    assert [] == fuzz.failures
    assert REQUESTS <= fuzz.answers.total()
    # Neither all refused nor all taken: then it would have tried nothing.
    classes = Counter(status // 100 for _, status in fuzz.answers.elements())
    assert {2, 4} == {*classes} - {3}
    assert REQUESTS // 10 < min(classes[2], classes[4])
