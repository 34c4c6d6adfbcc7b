"""Jobs over HTTP: asked for, looked at, listed, called off."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import insert
from starlette.testclient import TestClient

from events.envelope import decode
from events.jobs import JobEnded, JobRequested
from infra.database import outbox, retirements
from infra.database.engine import Database
from infra.database.job_tables import JobFile
from infra.database.tables import table
from infra.jobs.views import JobView
from infra.owners import name as owner
from tests import kinds
from tests.kinds import REPORT, change
from tests.problems import told, wrong

PARAMETERS = {"since": "2026-11-01T00:00:00Z"}
NOBODY = "01a217f3-676c-713a-8fdf-82ae9fe69443"
#: For what the database has no part in.
one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def declared(database: Database) -> None:
    kinds.declare(
        database,
        kinds.subscription(),
        kinds.subscription("refusing", kinds.Report, unique="refuse"),
        kinds.subscription("joining", kinds.Report, unique="join"),
        kinds.subscription("telling", kinds.Anything, announce=True),
    )


def ask(operator: TestClient, kind: str = REPORT, parameters: Any = PARAMETERS, **headers: str) -> Response:
    return operator.post("/jobs", json={"kind": kind, "parameters": parameters}, headers=headers)


def result(database: Database, job_id: str, *, key: str | None = "a/b") -> None:
    """It has succeeded, and has a file."""
    now = datetime.now(UTC)
    change(database, job_id, state="succeeded", finished_at=now, progress=1.0)
    made = {"job_id": job_id, "ordinal": 0, "name": "report.csv", "media_type": "text/csv", "key": key, "size": 12}
    statement = insert(table(JobFile)).values(
        **made, digest="0" * 64, created_at=now, expires_at=now + timedelta(hours=1)
    )
    database.run(lambda session: session.connection().execute(statement))


def announced(database: Database) -> list[Any]:
    """What waits in the outbox."""
    with database.reading() as session:
        return [decode(row.body.encode()) for row in outbox.due(session, 100)]


def listed(operator: TestClient, **query: Any) -> list[str]:
    return [item["id"] for item in operator.get("/jobs", params=query).raise_for_status().json()["items"]]


def test_a_job_is_accepted_as_a_row_and_an_event(operator: TestClient, database: Database) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = ask(operator, **{"tidings-operator": "Ada", "traceparent": trace})
    job = answer.json()
    place = f"/jobs/{job['id']}"
    assert (202, place, "1") == (answer.status_code, answer.headers["location"], answer.headers["retry-after"])
    assert ("queued", REPORT, PARAMETERS, "Ada", 0, None, []) == tuple(
        job[name] for name in ("state", "kind", "parameters", "requested_by", "attempts", "result", "files")
    )
    (envelope,) = announced(database)
    assert JobRequested(job_id=job["id"], kind=REPORT, parameters=PARAMETERS) == envelope.data
    assert (job["event_id"], f"job.requested.{REPORT}", job["id"], "/gateway", trace) == (
        envelope.id, envelope.type, envelope.subject, envelope.source, envelope.traceparent
    )  # fmt: skip


@pytest.mark.parametrize("kind", [REPORT, "refusing"])
def test_whoever_asks_for_a_job_is_shown_what_is_found_later(operator: TestClient, kind: str) -> None:
    parameters = {**PARAMETERS, "to": "ada@bücher.example", "parts": [{"weight": 7}]}
    asked = ask(operator, kind, parameters)
    assert operator.get(asked.headers["location"]).text == asked.text


def test_many_who_ask_at_once_each_get_their_own_job(operator: TestClient, database: Database) -> None:
    with ThreadPoolExecutor(12) as pool:
        wanted = [{**PARAMETERS, "days": 1 + number} for number in range(24)]
        wanted[7] = {"since": "no time"}
        answers = list(pool.map(lambda parameters: ask(operator, REPORT, parameters), wanted))
    assert [202] * 7 + [422] + [202] * 16 == [each.status_code for each in answers]
    made = [each.json() for each in answers if each.status_code == 202]
    assert [each for each in wanted if "days" in each] == [each["parameters"] for each in made]
    assert {each["event_id"] for each in made} == {each.id for each in announced(database)}


def test_a_job_is_shown_as_its_model_says(operator: TestClient, database: Database) -> None:
    made = ask(operator).json()
    change(
        database,
        made["id"],
        state="running",
        owner=owner(),
        progress=0.25,
        progress_text="half of it",
        attempts=2,
        started_at=datetime.now(UTC),
        checkpoint={"state": 1},
        checkpoint_at=datetime.now(UTC),
    )
    shown = operator.get(f"/jobs/{made['id']}").raise_for_status().json()
    assert shown == JobView.model_validate(shown).model_dump(mode="json")
    assert ("running", 0.25, "half of it", 2, False) == tuple(
        shown[name] for name in ("state", "progress", "progress_text", "attempts", "cancelling")
    )
    host, _, pid = shown["worker"].partition("#")
    assert host
    assert pid.isdecimal()


def test_one_that_has_not_changed_is_not_sent_again(operator: TestClient, database: Database) -> None:
    path = f"/jobs/{ask(operator).json()['id']}"
    tag = operator.get(path).headers["etag"]
    assert 304 == operator.get(path, headers={"if-none-match": tag}).status_code
    change(database, path.removeprefix("/jobs/"), progress=0.5)
    assert 200 == operator.get(path, headers={"if-none-match": tag}).status_code


def test_one_that_has_succeeded_leads_to_its_result(operator: TestClient, database: Database) -> None:
    path = f"/jobs/{ask(operator).json()['id']}"
    result(database, path.removeprefix("/jobs/"))
    answer = operator.get(path, follow_redirects=False)
    assert (303, f"{path}/result") == (answer.status_code, answer.headers["location"])
    shown = answer.json()
    (file,) = shown.pop("files")
    assert ("succeeded", f"{path}/result") == (shown["state"], shown["result"])
    assert ("report.csv", "text/csv", 12, f"{path}/result/report.csv", False) == tuple(
        file[name] for name in ("name", "media_type", "size", "href", "expired")
    )


def test_one_whose_result_is_gone_or_that_has_none_is_shown_itself(operator: TestClient, database: Database) -> None:
    gone, none = (ask(operator).json()["id"] for _ in range(2))
    result(database, gone, key=None)
    change(database, none, state="succeeded")
    for each in (gone, none):
        answer = operator.get(f"/jobs/{each}", follow_redirects=False)
        assert (200, None) == (answer.status_code, answer.json()["result"])
    assert operator.get(f"/jobs/{gone}").json()["files"][0]["expired"]


@pytest.mark.parametrize("kind", ["sales", "Sales Report", "welcome-email", "", "x" * 255, "ключ", "\x00"])
def test_a_kind_that_is_unknown_is_not_there_and_the_known_ones_are_named(operator: TestClient, kind: str) -> None:
    answer = ask(operator, kind)
    assert (404, "not-found") == told(answer)
    assert f"there are joining, refusing, {REPORT}, telling" in answer.json()["detail"]


@one_database
def test_a_consumer_that_is_on_its_way_out_takes_no_jobs(operator: TestClient, database: Database) -> None:
    database.run(lambda session: retirements.begin(session, REPORT))
    assert (409, "conflict") == told(ask(operator))
    assert "retiring" in {item["state"] for item in operator.get("/job-kinds").json()["items"]}


@one_database
@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({}, ["since"]),
        ({"since": "yesterday"}, ["since"]),
        ({"since": 5, "days": 0, "layout": "pdf", "code": "ABC"}, ["since", "days", "layout", "code"]),
        ({**PARAMETERS, "days": True}, ["days"]),
        ({**PARAMETERS, "to": "nobody"}, ["to"]),
        ({**PARAMETERS, "day": "2026-02-30"}, ["day"]),
        ({**PARAMETERS, "parts": [{"weight": 1}, {"weight": 0}, {}]}, ["parts.1.weight", "parts.2.weight"]),
        ({**PARAMETERS, "parts": [{"weight": 1, "size": 2}]}, ["parts.0.size"]),
        ({**PARAMETERS, "untill": 1}, ["untill"]),
    ],
)
def test_what_does_not_fit_the_kind_is_refused_by_the_name_of_its_field(
    operator: TestClient, database: Database, parameters: Any, fields: list[str]
) -> None:
    assert sorted(f"parameters.{each}" for each in fields) == sorted(wrong(ask(operator, REPORT, parameters)))
    assert [] == announced(database)


@one_database
def test_no_message_repeats_a_value(operator: TestClient) -> None:
    secret = "hunter2"
    values = {"since": secret, "days": secret, "layout": secret, "to": secret, "code": secret, "parts": secret}
    assert secret not in ask(operator, REPORT, values).text


@one_database
@pytest.mark.parametrize("since", ["2026-11-01T00:00:00", "2026-11-01 00:00:00+01:00", "2026-11-01"])
def test_what_the_model_would_read_is_taken(operator: TestClient, since: str) -> None:
    assert 202 == ask(operator, REPORT, {"since": since, "days": 2.0, "day": None}).status_code


@one_database
def test_a_kind_that_takes_anything_is_given_anything(operator: TestClient) -> None:
    parameters = {"deep": {"nul": "\x00", "list": [1.5, 10**30, None]}, "ключ": "değer"}
    assert parameters == ask(operator, "telling", parameters).json()["parameters"]


def test_the_same_key_gives_the_same_job(operator: TestClient, database: Database) -> None:
    first, again = (ask(operator, **{"idempotency-key": "k"}) for _ in range(2))
    assert (202, first.content) == (again.status_code, again.content)
    assert 1 == len(announced(database)) == len(listed(operator))


def at_once(operator: TestClient, kind: str) -> list[Response]:
    """The same request by many."""
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(lambda _: ask(operator, kind), range(16)))


def test_of_a_kind_that_refuses_one_is_open_at_a_time(operator: TestClient, database: Database) -> None:
    answers = at_once(operator, "refusing")
    (made,) = [each for each in answers if each.status_code == 202]
    place = made.headers["location"]
    for refused in answers:
        if refused is not made:
            assert (409, "job-open") == told(refused)
            assert (place, f'<{place}>; rel="related"') == (refused.json()["job"], refused.headers["link"])
    assert 1 == len(announced(database))


def test_of_a_kind_that_joins_all_are_given_the_open_one(operator: TestClient, database: Database) -> None:
    answers = at_once(operator, "joining")
    assert [200] * 15 + [202] == sorted(each.status_code for each in answers)
    assert 1 == len({each.headers["location"] for each in answers}) == len(announced(database))


@one_database
def test_it_may_run_again_with_other_parameters_or_after_its_end(operator: TestClient, database: Database) -> None:
    first = ask(operator, "refusing")
    assert 409 == ask(operator, "refusing", {**PARAMETERS, "days": 7}).status_code  # the default
    assert 202 == ask(operator, "refusing", {**PARAMETERS, "days": 8}).status_code
    change(database, first.json()["id"], state="failed")
    assert 202 == ask(operator, "refusing").status_code


@one_database
@pytest.mark.parametrize("name", ["job.requested", "job.requested.sales-report", "job.requested.dance"])
def test_its_event_cannot_be_written_by_hand(operator: TestClient, name: str) -> None:
    data = {"job_id": NOBODY, "kind": REPORT, "parameters": PARAMETERS}
    answer = operator.post("/events", json={"type": name, "data": data})
    assert ["type"] == wrong(answer)
    assert "POST /jobs" in answer.json()["detail"]


@one_database
@pytest.mark.parametrize(
    ("kind", "data", "fields"),
    [(REPORT, {}, ["data.since"]), (REPORT, {**PARAMETERS, "days": 0}, ["data.days"]), ("dance", {}, ["type"]),
     ("Dance", {}, ["type"]), (REPORT, {"since": 5, "of": 1}, ["data.of", "data.since"])],
)  # fmt: skip
def test_a_schedule_whose_jobs_nobody_would_take_is_refused(
    operator: TestClient, kind: str, data: Any, fields: list[str]
) -> None:
    made = {"name": "each-day", "trigger": {"daily": "07:00"}, "type": f"job.requested.{kind}", "data": data}
    assert fields == sorted(wrong(operator.post("/schedules", json=made)))


@one_database
def test_a_schedule_may_ask_for_jobs(operator: TestClient) -> None:
    made = {"name": "each-day", "trigger": {"daily": "07:00"}, "type": f"job.requested.{REPORT}", "data": PARAMETERS}
    answer = operator.post("/schedules", json=made)
    assert (201, PARAMETERS) == (answer.status_code, answer.json()["data"])


@one_database
def test_the_event_that_asks_for_it_leads_to_it(operator: TestClient) -> None:
    job = ask(operator).json()
    assert f"/jobs/{job['id']}" == operator.get(f"/events/{job['event_id']}").json()["job"]


@pytest.mark.parametrize("state", ["queued", "retrying"])
def test_one_that_waits_is_cancelled_at_once_and_twice(operator: TestClient, database: Database, state: str) -> None:
    job_id = ask(operator).json()["id"]
    change(database, job_id, state=state)
    answer = operator.delete(f"/jobs/{job_id}?why=too+late", headers={"tidings-operator": "Ada"})
    assert (200, "cancelled", "Cancelled by Ada: too late.", False) == (
        answer.status_code, *(answer.json()[name] for name in ("state", "error", "cancelling"))
    )  # fmt: skip
    again = operator.delete(f"/jobs/{job_id}")
    assert (200, answer.json()) == (again.status_code, again.json())


def test_one_that_runs_is_to_see_it(operator: TestClient, database: Database) -> None:
    job_id = ask(operator).json()["id"]
    change(database, job_id, state="running", busy_until=datetime.now(UTC) + timedelta(minutes=1))
    for _ in range(2):
        answer = operator.delete(f"/jobs/{job_id}")
        assert (200, "running", True, None) == (
            answer.status_code, *(answer.json()[name] for name in ("state", "cancelling", "finished_at"))
        )  # fmt: skip
    change(database, job_id, state="queued")  # handed back before it saw it
    assert "cancelled" == operator.delete(f"/jobs/{job_id}").json()["state"]


@one_database
@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_one_that_has_ended_otherwise_cannot_be_cancelled(operator: TestClient, database: Database, state: str) -> None:
    job_id = ask(operator).json()["id"]
    change(database, job_id, state=state)
    assert (409, "conflict") == told(operator.delete(f"/jobs/{job_id}"))


@one_database
def test_the_end_of_one_that_nobody_worked_on_is_announced_where_its_kind_does(
    operator: TestClient, database: Database
) -> None:
    quiet, telling = ask(operator).json(), ask(operator, "telling").json()
    for each in (quiet, telling):
        operator.delete(f"/jobs/{each['id']}")
    *_, ended = announced(database)
    assert JobEnded(job_id=telling["id"], kind="telling", state="cancelled") == ended.data
    assert telling["event_id"] == ended.causation_id
    assert 3 == len(announced(database))


@one_database
def test_the_audit_keeps_who_asked_and_no_parameter(operator: TestClient) -> None:
    job_id = ask(operator, **{"tidings-operator": "Ada"}).json()["id"]
    operator.delete(f"/jobs/{job_id}", params={"why": "late"}, headers={"tidings-operator": "Grace"})
    answer = operator.get("/audit")
    cancelled, started = answer.json()["items"]
    assert ("Ada", "job.start", job_id, {"kind": REPORT}) == tuple(
        started[name] for name in ("who", "action", "target", "details")
    )
    assert ("Grace", "job.cancel", job_id, "late") == tuple(
        cancelled[name] for name in ("who", "action", "target", "why")
    )
    assert PARAMETERS["since"] not in answer.text


def test_jobs_are_listed_newest_first_in_pages_and_by_filters(operator: TestClient, database: Database) -> None:
    ids = [ask(operator).json()["id"] for _ in range(3)]
    other = ask(operator, "telling", {}, **{"tidings-operator": "Ada"}).json()["id"]
    result(database, ids[0])
    assert [other, *ids[::-1]] == listed(operator)
    assert ids[::-1] == listed(operator, kind=REPORT)
    assert [ids[0]] == listed(operator, state="succeeded")
    assert [other] == listed(operator, requested_by="Ada")
    now = datetime.now(UTC)
    assert 4 == len(listed(operator, since=(now - timedelta(hours=1)).isoformat()))
    assert [] == listed(operator, until=(now - timedelta(hours=1)).isoformat())
    first = operator.get("/jobs?limit=3").json()
    (last,) = operator.get("/jobs", params={"limit": 3, "cursor": first["next"]}).json()["items"]
    assert (ids[0], "report.csv") == (last["id"], last["files"][0]["name"])


@one_database
@pytest.mark.parametrize(
    ("path", "field"),
    [("/jobs?state=lost", "state"), ("/jobs?since=now", "since"), ("/jobs?cursor=x", "cursor"), ("/jobs?of=x", "of"),
     ("/job-kinds?cursor=x", "cursor"), ("/job-kinds?state=x", "state")],
)  # fmt: skip
def test_a_filter_that_makes_no_sense_is_refused(operator: TestClient, path: str, field: str) -> None:
    assert [field] == wrong(operator.get(path))


@one_database
@pytest.mark.parametrize("bad", [NOBODY, "x", "%00"])
def test_an_id_that_no_job_has_is_not_there(operator: TestClient, bad: str) -> None:
    assert (404, "not-found") == told(operator.get(f"/jobs/{bad}"))
    assert (404, "not-found") == told(operator.delete(f"/jobs/{bad}"))


@one_database
def test_all_of_it_is_the_operators(client: TestClient) -> None:
    asked: list[Callable[[], Response]] = [
        lambda: client.get("/jobs"),
        lambda: client.get(f"/jobs/{NOBODY}"),
        lambda: client.delete(f"/jobs/{NOBODY}"),
        lambda: client.get("/job-kinds"),
        lambda: ask(client),
    ]
    assert {401} == {each().status_code for each in asked}


def test_kinds_are_listed_with_what_they_take(operator: TestClient) -> None:
    first = operator.get("/job-kinds", params={"limit": 3}).json()
    second = operator.get("/job-kinds", params={"limit": 3, "cursor": first["next"]}).json()
    items = {item["name"]: item for item in [*first["items"], *second["items"]]}
    assert ["joining", "refusing", REPORT, "telling"] == list(items)
    assert kinds.Report.model_json_schema() == items[REPORT]["parameters"]
    assert ("join", "refuse", None) == tuple(items[name]["unique"] for name in ("joining", "refusing", REPORT))
    assert [REPORT] == [item["name"] for item in operator.get("/job-kinds?text=sales").json()["items"]]
