"""Operations and the audit over HTTP."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from infra.database.engine import Database
from infra.recovery.operating import Operating
from tests import given_up
from tests.problems import told, wrong


@pytest.fixture(autouse=True)
def consumers(database: Database) -> None:
    """The consumer whose letters these are."""
    given_up.declare(database, given_up.SMS)


def replay(operator: TestClient, database: Database, number: int, **terms: Any) -> dict[str, Any]:
    """Give some letters up and begin to replay them; the operation as it was answered."""
    given_up.some(database, number)
    begun: dict[str, Any] = operator.post("/dead-letters/replay", json={"all": True, **terms}).json()
    return begun


def listed(operator: TestClient, path: str, **query: Any) -> list[str]:
    """Ids on one page."""
    return [item["id"] for item in operator.get(path, params=query).raise_for_status().json()["items"]]


def test_an_operation_shows_how_far_it_is(operator: TestClient, database: Database) -> None:
    path = f"/operations/{replay(operator, database, 4)['id']}"
    duty = Operating(database)
    duty.step()
    sent = given_up.relay(database)
    given_up.handle(database, sent[:1])
    duty.step()
    shown = operator.get(path).json()
    assert ("running", 4, 1, 0, 0.25, None) == tuple(
        shown[name] for name in ("state", "sent", "handled", "failed", "progress", "finished_at")
    )
    given_up.handle(database, sent[1:3])
    given_up.fail_again(database, sent[3:])
    duty.step()
    shown = operator.get(path).json()
    assert ("done", 3, 1, 1.0) == tuple(shown[name] for name in ("state", "handled", "failed", "progress"))
    assert shown["finished_at"] is not None


def test_operations_are_listed_newest_first_in_pages_and_by_state(operator: TestClient, database: Database) -> None:
    ids = [replay(operator, database, 1)["id"] for _ in range(3)]
    done = operator.post("/dead-letters/replay", json={"consumer": "nobody"}).json()["id"]
    assert [done, *ids[::-1]] == listed(operator, "/operations")
    assert [done] == listed(operator, "/operations", state="done")
    assert ids[::-1] == listed(operator, "/operations", state="running", kind="replay")
    first = operator.get("/operations?limit=3").json()
    assert [ids[0]] == listed(operator, "/operations", limit=3, cursor=first["next"])


def test_an_operation_is_stopped_once(operator: TestClient, database: Database) -> None:
    begun = replay(operator, database, 3, rate=1)
    path = f"/operations/{begun['id']}"
    answer = operator.post(f"{path}/stop", json={"why": "too loud"}, headers={"tidings-operator": "Ada"})
    assert (202, "stopping", path) == (answer.status_code, answer.json()["state"], answer.headers["location"])
    assert (409, "conflict") == told(operator.post(f"{path}/stop"))
    Operating(database).step()
    assert "stopped" == operator.get(path).json()["state"]
    assert (409, "conflict") == told(operator.post(f"{path}/stop"))
    assert 3 == len(given_up.in_state(database, "waiting"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("bad", ["01a217f3-676c-713a-8fdf-82ae9fe69443", "x", "%00"])
def test_an_id_that_no_operation_has_is_not_there(operator: TestClient, bad: str) -> None:
    assert (404, "not-found") == told(operator.get(f"/operations/{bad}"))
    assert (404, "not-found") == told(operator.post(f"/operations/{bad}/stop"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("path", "field"),
    [("/operations?state=lost", "state"), ("/operations?kind=dance", "kind"), ("/operations?cursor=x", "cursor"),
     ("/audit?since=now", "since"), ("/audit?who=", "who"), ("/audit?whom=x", "whom"), ("/audit?cursor=x", "cursor")],
)  # fmt: skip
def test_a_filter_that_makes_no_sense_is_refused(operator: TestClient, path: str, field: str) -> None:
    assert [field] == wrong(operator.get(path))


def test_the_audit_says_who_did_what_when_and_why(operator: TestClient, database: Database) -> None:
    one, other = given_up.some(database, 2)
    operator.delete(f"/dead-letters/{one}?why=old", headers={"tidings-operator": "Ada"})
    operator.post(f"/dead-letters/{other}/replay", json={"why": "again"}, headers={"tidings-operator": "Grace"})
    replayed, discarded = operator.get("/audit").json()["items"]
    assert ("Grace", "dead-letter.replay", other, "again") == tuple(
        replayed[name] for name in ("who", "action", "target", "why")
    )
    assert {"consumer": "sms", "type": "user.registered", "reason": "handler-error"}.items() <= (
        discarded["details"].items()
    )
    assert [discarded["id"]] == listed(operator, "/audit", who="Ada")
    assert [replayed["id"]] == listed(operator, "/audit", action="dead-letter.replay")
    assert [discarded["id"]] == listed(operator, "/audit", target=one)
    assert [replayed["id"]] == listed(operator, "/audit", since=replayed["at"])
    first = operator.get("/audit?limit=1").json()
    assert [discarded["id"]] == listed(operator, "/audit", limit=1, cursor=first["next"])
