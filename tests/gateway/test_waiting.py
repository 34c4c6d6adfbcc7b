"""Subjects that wait at an ordered consumer, over HTTP: seen with what blocks each, and made to go on without it."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from infra.database.engine import Database
from infra.database.recovery_tables import Audit
from infra.outcomes import Done, PassedOver
from tests.ordered import LEDGER, Ordered
from tests.problems import told, wrong

ADA, BEN = uuid4(), uuid4()
PATH = f"/consumers/{LEDGER}/waiting"
SKIP = f"{PATH}/skip"


@pytest.fixture
def ordered(database: Database) -> Ordered:
    return Ordered(database)


def asked(subject: Any = ADA) -> dict[str, str]:
    return {"subject": str(subject), "why": "it can never be right"}


def deeds(database: Database) -> Sequence[Audit]:
    with database.reading() as session:
        return session.exec(select(Audit).order_by("id")).all()


def test_a_subject_is_shown_with_the_event_that_blocks_it(operator: TestClient, ordered: Ordered) -> None:
    first, second, third = ordered.log(ADA, ADA, ADA)
    ordered.deliver(first, fails=ConnectionError("the secret of Ada"))
    for each in (second, third):
        ordered.deliver(each)
    (item,) = operator.get(PATH).raise_for_status().json()["items"]
    assert item.pop("since") <= item["blocked_by"].pop("retry_at")
    blocker = {"event_id": first.id, "type": "user.registered", "position": 1, "state": "retrying", "attempts": 1}
    assert {
        "subject": str(ADA),
        "events": 2,
        "first": 2,
        "blocked_by": {**blocker, "error": "ConnectionError"},
    } == item


def test_an_event_that_has_not_come_yet_blocks_too(operator: TestClient, ordered: Ordered) -> None:
    first, second = ordered.log(ADA, ADA)
    ordered.deliver(second)
    (item,) = operator.get(PATH, params={"subject": str(ADA)}).json()["items"]
    assert (first.id, "pending", 0, None) == tuple(
        item["blocked_by"][name] for name in ("event_id", "state", "attempts", "error")
    )


def test_the_consumer_says_how_much_waits(operator: TestClient, ordered: Ordered) -> None:
    events = ordered.log(ADA, ADA, ADA, BEN, BEN)
    for each in (events[1], events[2], events[4]):
        ordered.deliver(each)
    shown = operator.get(f"/consumers/{LEDGER}").json()
    assert (3, 2) == (shown["waiting_events"], shown["waiting_subjects"])


def test_subjects_come_in_pages_the_one_that_waits_longest_first(operator: TestClient, ordered: Ordered) -> None:
    subjects = [uuid4() for _ in range(3)]
    for subject in subjects:
        ordered.deliver(ordered.log(subject, subject)[1])
    first = operator.get(PATH, params={"limit": 2}).json()
    second = operator.get(PATH, params={"limit": 2, "cursor": first["next"]}).json()
    assert [str(each) for each in subjects] == [item["subject"] for item in [*first["items"], *second["items"]]]
    assert second["next"] is None


def test_a_skipped_event_is_a_dead_letter_and_its_subject_goes_on(operator: TestClient, ordered: Ordered) -> None:
    first, second, third = ordered.log(ADA, ADA, ADA)
    ordered.deliver(first, fails=ConnectionError("away"))
    for each in (second, third):
        ordered.deliver(each)
    letter = operator.post(SKIP, json=asked()).raise_for_status().json()
    assert (first.id, "skipped", "waiting", str(ADA)) == tuple(
        letter[name] for name in ("event_id", "reason", "state", "subject")
    )
    assert ("dead", [second.id, third.id]) == (ordered.state(first), [row.event_id for row in ordered.resent()])
    assert [Done(), Done()] == [ordered.deliver(each) for each in (second, third)]
    assert PassedOver() == ordered.deliver(first, attempt=2)  # its copy comes back from the tier
    assert [second.id, third.id] == ordered.handled
    (deed,) = deeds(ordered.database)
    assert ("consumer.skip", LEDGER, asked()["why"]) == (deed.action, deed.target, deed.why)
    assert (first.id, letter["id"]) == (deed.details["event_id"], deed.details["dead_letter"])


def test_a_skipped_event_can_be_replayed(operator: TestClient, ordered: Ordered) -> None:
    first, second = ordered.log(ADA, ADA)
    ordered.deliver(second)
    letter = operator.post(SKIP, json=asked()).raise_for_status().json()
    replayed = operator.post(f"/dead-letters/{letter['id']}/replay", json={"why": "mended"}).raise_for_status()
    assert "replaying" == replayed.json()["state"]
    assert Done() == ordered.deliver(first, replay=True, dead_letter=letter["id"])
    assert [first.id] == ordered.handled


def test_a_replay_that_blocks_is_skipped_too(operator: TestClient, ordered: Ordered) -> None:
    first, second = ordered.log(ADA, ADA)
    ordered.deliver(second)
    letter = operator.post(SKIP, json=asked()).json()
    operator.post(f"/dead-letters/{letter['id']}/replay", json={"why": "mended"}).raise_for_status()
    ordered.resent()
    assert PassedOver() == ordered.deliver(second)
    again = operator.post(SKIP, json=asked()).raise_for_status().json()
    assert (letter["id"], "waiting") == (again["id"], again["state"])
    assert PassedOver() == ordered.deliver(first, replay=True, dead_letter=letter["id"])
    assert "waiting" == operator.get(f"/dead-letters/{letter['id']}").json()["state"]


def test_of_a_subject_that_waits_for_nothing_any_more_nothing_is_skipped(
    operator: TestClient, ordered: Ordered
) -> None:
    _, second = ordered.log(ADA, ADA)
    ordered.deliver(second)
    ordered.scan(1)
    refused = operator.post(SKIP, json=asked())
    assert (409, "conflict") == told(refused)
    assert "Nothing blocks this subject any more" in refused.json()["detail"]
    (item,) = operator.get(PATH).json()["items"]
    assert item["blocked_by"] is None


def test_what_is_not_there_is_said(operator: TestClient, ordered: Ordered) -> None:
    ordered.log(ADA)
    nobodys = "/consumers/nobody/waiting"
    assert {404} == {
        told(answer)[0]
        for answer in (
            operator.post(SKIP, json=asked()),
            operator.post(f"{nobodys}/skip", json=asked()),
            operator.get(nobodys),
        )
    }
    assert [] == operator.get(PATH).json()["items"]
    assert ["cursor"] == [each.rpartition(".")[2] for each in wrong(operator.get(PATH, params={"cursor": "none"}))]


def test_both_are_for_operators(client: TestClient, ordered: Ordered) -> None:
    assert [401, 401] == [client.get(PATH).status_code, client.post(SKIP, json=asked()).status_code]
