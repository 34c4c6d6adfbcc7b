"""`GET /jobs/{id}/stream`: a client sees what becomes of a job as it happens, and costs nothing when it has left."""

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from gateway.jobs import stream, watching
from infra.database import job_standings
from infra.database.engine import Database, connect
from infra.errors import DatabaseUnavailable
from infra.jobs import storing
from infra.settings import Settings
from tests.gateway.conftest import TOKEN
from tests.gateway.test_program import answers, environment, running  # noqa: F401  # `environment` is a fixture
from tests.infra.recovery.test_sweep_cost import statements
from tests.madejobs import Jobs
from tests.problems import told
from tests.waiting import until
from tests.web_server import WebServer

CSV = ("report.csv", "text/csv", b"1\n")


class Client:
    """Reads a stream, event by event."""

    def __init__(self, answer: httpx2.Response) -> None:
        assert (200, "text/event-stream") == (answer.status_code, answer.headers["content-type"].partition(";")[0])
        self._lines = answer.iter_lines()
        assert ["retry: 2000", ""] == [next(self._lines), next(self._lines)]

    def next(self) -> dict[str, Any]:
        """Its data, with its name as `event` and its id as `at`; of a comment only `comment`; empty at the end."""
        found: dict[str, Any] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            if not line:
                break
            found |= json.loads(value) if name == "data" else {{"id": "at", "": "comment"}.get(name, name): value}
        return found


@contextmanager
def watched(port: int, job_id: str, **headers: str) -> Iterator[Client]:
    url, headers = f"http://127.0.0.1:{port}/jobs/{job_id}/stream", {"authorization": f"Bearer {TOKEN}", **headers}
    with httpx2.stream("GET", url, headers=headers, timeout=60) as answer:
        yield Client(answer)


@pytest.fixture
def jobs(database: Database, settings: Settings) -> Jobs:
    return Jobs(database, storing.Folder(settings.state_dir / "results"))


@pytest.fixture
def port(app: FastAPI) -> Iterator[int]:
    """Of the application over either database, behind a real server."""
    with WebServer(app) as server:
        yield server.port


def test_each_change_is_an_event_and_the_stream_ends_with_the_job(port: int, jobs: Jobs) -> None:
    job_id = jobs.made("queued", CSV)
    with watched(port, job_id) as client:
        assert ("state", "queued", None) == ((first := client.next())["event"], first["state"], first["result"])
        jobs.change(job_id, state="running", attempts=1)
        assert ("state", "running", 1) == ((seen := client.next())["event"], seen["state"], seen["attempts"])
        jobs.change(job_id, progress=0.5, progress_text="halb\nfertig: ü")
        seen = client.next()
        assert ("progress", 0.5, "halb\nfertig: ü") == (seen["event"], seen["progress"], seen["progress_text"])
        jobs.change(job_id, cancelled_at=datetime.now(UTC))
        assert ("state", True) == ((seen := client.next())["event"], seen["cancelling"])
        jobs.change(job_id, state="succeeded", cancelled_at=None)
        assert ("end", f"/jobs/{job_id}/result") == ((seen := client.next())["event"], seen["result"])
        assert {} == client.next()


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_of_a_job_that_is_over_there_is_its_end_and_whoever_has_that_need_not_come_again(
    operator: TestClient, jobs: Jobs, state: str
) -> None:
    path = f"/jobs/{jobs.made(state, error='no more')}/stream"
    _, said, rest = operator.get(path).text.split("\n\n")
    name, at, data = said.splitlines()
    assert ("event: end", "", state, "no more") == (name, rest, (seen := json.loads(data[6:]))["state"], seen["error"])
    assert 204 == operator.get(path, headers={"last-event-id": at.removeprefix("id: ")}).status_code
    assert 200 == operator.get(path, headers={"last-event-id": "another"}).status_code


def test_who_comes_again_is_told_only_what_is_new(port: int, jobs: Jobs) -> None:
    job_id = jobs.made("running")
    with watched(port, job_id) as client:
        at = client.next()["at"]
    with watched(port, job_id, **{"last-event-id": at}) as client:
        jobs.change(job_id, progress=0.25)
        assert ("progress", 0.25) == ((seen := client.next())["event"], seen["progress"])
    jobs.change(job_id, progress=0.5)
    with watched(port, job_id, **{"last-event-id": at}) as client:
        assert 0.5 == client.next()["progress"]


def test_all_that_watch_cost_one_statement_a_look_and_nothing_once_they_have_left(
    port: int, app: FastAPI, jobs: Jobs
) -> None:
    ids = [jobs.made("running") for _ in range(3)]
    with ExitStack() as stack:
        clients = [stack.enter_context(watched(port, job_id)) for job_id in ids * 2]
        assert ["state"] * 6 == [client.next()["event"] for client in clients]
        with statements(jobs.database) as seen:
            until(lambda: len(seen) >= 2, what="two looks")
        assert all({*ids} == {*_values(values)} & {*ids} for _, values in seen)
        assert app.state.watching.is_at_work
    until(lambda: not app.state.watching.is_at_work, what="rest")


def test_a_silent_stream_shows_that_it_is_alive(port: int, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SILENCE", 0.05)
    with watched(port, jobs.made("running")) as client:
        assert ["running", None] == [client.next().get("state"), client.next().get("state")]


def test_a_job_that_is_erased_ends_its_streams(port: int, jobs: Jobs) -> None:
    with watched(port, jobs.made("running")) as client:
        assert "running" == client.next()["state"]
        jobs.erase()
        assert {} == client.next()


def test_streams_outlive_a_database_that_is_away(port: int, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id, looks = jobs.made("running"), []

    def away(*_: Any) -> None:
        looks.append(1)
        raise DatabaseUnavailable("It is away.")

    with watched(port, job_id) as client:
        assert "running" == client.next()["state"]
        with monkeypatch.context() as patch:
            patch.setattr(job_standings, "of_each", away)
            until(lambda: len(looks) > 1, what="two looks in vain")
        jobs.change(job_id, state="failed")
        assert "end" == client.next()["event"]


def test_a_fault_of_ours_ends_the_streams_and_the_next_one_is_as_ever(
    port: int, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = jobs.made("running")
    with watched(port, job_id) as client:
        assert "running" == client.next()["state"]
        with monkeypatch.context() as patch:
            patch.setattr(job_standings, "of_each", lambda *_: 1 // 0)
            assert {} == client.next()
    with watched(port, job_id) as client:
        assert "running" == client.next()["state"]


def test_no_more_watch_than_there_is_room_for(
    operator: TestClient, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST", 0)
    assert (503, "unavailable") == told(operator.get(f"/jobs/{jobs.made('running')}/stream"))


def test_only_operators_watch_and_only_jobs_that_there_are(
    operator: TestClient, client: TestClient, jobs: Jobs
) -> None:
    job_id = jobs.made("running")
    assert (401, "unauthorized") == told(client.get(f"/jobs/{job_id}/stream"))
    assert (404, "not-found") == told(operator.get(f"/jobs/{uuid4()}/stream"))
    assert (200, b"") == ((answer := operator.head(f"/jobs/{job_id}/stream")).status_code, answer.content)


def test_a_gateway_that_ends_sends_its_streams_away_at_once(environment: dict[str, str]) -> None:  # noqa: F811
    port = int(environment["TIDINGS_HTTP_PORT"])
    database = connect(environment["TIDINGS_DATABASE_URL"])
    job_id = Jobs(database, storing.Folder(Path(environment["TIDINGS_STATE_DIR"]))).made("running")
    database.close()
    with running(environment | {"TIDINGS_OPERATOR_TOKEN": TOKEN}) as program:
        until(lambda: answers(f"http://127.0.0.1:{port}/livez"), seconds=60, what="the gateway's answer")
        with watched(port, job_id) as client:
            assert "running" == client.next()["state"]
            program.send_signal(signal.SIGTERM)
            assert {} == client.next()
        _, said = program.communicate(timeout=60)
    assert (0, False, False) == (program.returncode, "graceful" in said, "Traceback" in said)


def _values(values: Any) -> list[Any]:
    return list(values.values() if isinstance(values, dict) else values)
