"""The gateway's metrics: what was accepted, what waits, and which jobs are open."""

from math import isnan

import pytest
from starlette.testclient import TestClient

from gateway.app import create_app
from infra.database import job_standings
from infra.database.engine import Database, connect
from infra.settings import Settings
from tests.gateway.conftest import TOKEN
from tests.kinds import add, change
from tests.plans import plans, scanned


def figure(client: TestClient, name: str) -> float | None:
    """What the metrics say under this name."""
    lines = client.get("/metrics").text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name)), None)


def of_jobs(client: TestClient, kind: str, state: str) -> float | None:
    return figure(client, f'tidings_jobs{{kind="{kind}",state="{state}"}}')


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_metrics_tell_what_was_accepted_and_what_waits(operator: TestClient, ada: dict[str, str]) -> None:
    accepted = 'tidings_events_accepted_total{type="user.registered"}'
    before = figure(operator, accepted) or 0
    for _ in range(2):
        operator.post("/users", json=ada, headers={"idempotency-key": "k"})
    assert (before + 1, 1) == (figure(operator, accepted), figure(operator, "tidings_outbox_rows "))


def test_open_jobs_are_counted_by_kind_and_state_and_none_is_zero_once_there_were_some(
    operator: TestClient, database: Database
) -> None:
    first, second, third = add(database, "counted", 3)
    add(database, "counted too", 1)
    change(database, first, state="running")
    assert (1, 2, 1) == (
        of_jobs(operator, "counted", "running"),
        of_jobs(operator, "counted", "queued"),
        of_jobs(operator, "counted too", "queued"),
    )
    for each, state in ((first, "succeeded"), (second, "retrying"), (third, "cancelled")):
        change(database, each, state=state)
    assert (0, 0, 1) == tuple(of_jobs(operator, "counted", each) for each in ("running", "queued", "retrying"))
    assert [None, None] == [of_jobs(operator, "counted", each) for each in ("succeeded", "cancelled")]


def test_while_nobody_can_ask_the_database_the_figures_of_jobs_are_unknown(
    operator: TestClient, database: Database, settings: Settings
) -> None:
    add(database, "unknown", 1)
    assert 1 == of_jobs(operator, "unknown", "queued")
    away = connect("postgresql://nobody@127.0.0.1:1/none")
    with TestClient(create_app(settings, away, None), headers={"authorization": f"Bearer {TOKEN}"}) as client:
        said = of_jobs(client, "unknown", "queued")
    away.close()
    assert said is not None
    assert isnan(said)


def test_what_the_count_costs_grows_with_the_open_jobs_alone(database: Database) -> None:
    ids = add(database, "ended", 2_000)
    with database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE job SET state = 'succeeded'")
    change(database, ids[7], state="retrying")
    with plans(database) as found, database.reading() as session:
        assert {("ended", "retrying"): 1} == job_standings.open_ones(session)
    assert [] == [plan for plan in found if scanned(plan, "job")]
    assert any(index in found[-1] for index in ("job_state", "job_unique")), "the second one holds open jobs alone"
