"""Readiness: only what keeps the gateway from accepting registrations makes it unready."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import update
from starlette.testclient import TestClient

from gateway.app import create_app
from infra.database import outbox, schedules, silences
from infra.database.engine import Database, connect
from infra.database.schedules import Definition
from infra.database.tables import Outbox, table
from infra.settings import Settings
from tests.envelopes import ada
from tests.problems import told
from tests.waiting import until


@dataclass
class FakeRelay:
    """A relay in any state."""

    state: str = "active"
    problem: str | None = None
    error: Exception | None = None
    ran: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Note that it ran."""
        self.ran.append("yes")
        if self.error is not None:
            raise self.error


def ready(settings: Settings, database: Database, relay: FakeRelay | None = None) -> Any:
    """The answer of /readyz."""
    with TestClient(create_app(settings, database, relay)) as client:
        return client.get("/readyz")


def test_all_is_well(settings: Settings, database: Database) -> None:
    relay = FakeRelay()
    answer = ready(settings, database, relay)
    assert (answer.status_code, answer.json()["status"], answer.json()["broker"]) == (200, "ready", "connected")
    assert answer.json()["problems"] == []
    assert relay.ran == ["yes"]


def test_the_gateway_is_ready_while_the_broker_is_away_and_says_so(settings: Settings, database: Database) -> None:
    relay = FakeRelay("waiting for the broker", "amqp://broker.internal refused")
    answer = ready(settings, database, relay)
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["broker"] == "RabbitMQ cannot be reached"
    assert "internal" not in answer.text, "anybody may read this"


def test_a_stand_by_is_well(settings: Settings, database: Database) -> None:
    answer = ready(settings, database, FakeRelay("standby")).json()
    assert (answer["status"], answer["broker"]) == ("ready", "another program publishes")


def test_an_event_that_no_queue_takes_degrades(settings: Settings, database: Database) -> None:
    answer = ready(settings, database, FakeRelay(problem="No queue takes user.registered."))
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["problems"] == ["relay: No queue takes user.registered."]


def test_a_relay_that_broke_degrades_and_registrations_go_on(
    settings: Settings, database: Database, ada: dict[str, str]
) -> None:
    with TestClient(create_app(settings, database, FakeRelay(error=ValueError("bug")))) as client:
        broken = until(lambda: [line for line in client.get("/readyz").json()["problems"] if "relay: broke" in line])
        assert broken
        assert client.post("/users", json=ada).status_code == 201


def test_a_set_aside_event_degrades(settings: Settings, database: Database) -> None:
    with database.transaction() as session:
        outbox.add(session, ada())
        outbox.blame(session, {outbox.due(session, 1)[0].sequence: "x"}, set_aside_after=1)
    answer = ready(settings, database).json()
    assert (answer["status"], answer["checks"]["outbox"]["status"]) == ("degraded", "degraded")


def test_an_event_that_waits_for_long_degrades(settings: Settings, database: Database) -> None:
    with database.transaction() as session:
        outbox.add(session, ada())
        long_ago = datetime.now(UTC) - timedelta(minutes=2)
        session.connection().execute(update(table(Outbox)).values(added_at=long_ago))
    assert ready(settings, database).json()["checks"]["outbox"]["status"] == "degraded"


def test_a_silent_schedule_degrades(settings: Settings, database: Database) -> None:
    with database.transaction() as session:
        schedules.add(session, Definition(name="report", trigger={"every": "1m"}, type="heartbeat.ticked"))
    assert ready(settings, database).json()["checks"]["schedules"] == {"status": "ok", "detail": "none is silent"}
    with database.transaction() as session:
        silences.begin(session, "report", datetime.now(UTC))
    answer = ready(settings, database)
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["problems"] == ["schedules: 1 have not fired for more than two of their periods"]


def test_an_unmigrated_database_is_not_ready(settings: Settings) -> None:
    database = connect(f"sqlite:///{settings.state_dir}/empty.db")
    answer = ready(settings, database)
    database.close()
    assert told(answer) == (503, "not-ready")
    assert answer.json()["problems"] == ["schema: run ./tidings migrate"]


def test_a_database_that_is_away_is_not_ready_and_the_gateway_lives(settings: Settings) -> None:
    database = connect("postgresql://nobody@127.0.0.1:1/none")
    with TestClient(create_app(settings, database, FakeRelay())) as client:
        answer = client.get("/readyz")
        alive = client.get("/livez")
    database.close()
    assert told(answer) == (503, "not-ready")
    assert (answer.json()["problems"], alive.status_code) == (["database: it cannot be reached"], 200)
