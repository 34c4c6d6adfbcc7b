"""The sweep as a duty: over all consumers, in steps, with its figures for whoever scrapes them."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import event as listen

from infra.database import consumers, unsettled
from infra.database.engine import Database
from infra.recovery import standings
from infra.recovery.sweeper import PAUSE, SOON, Sweeper
from infra.subscriptions import EVERY_TYPE, Subscription
from tests.eventlogs import DAY, fill, handle
from tests.infra.recovery.conftest import Bench, Counts, ago


def figure(name: str, consumer: str = "sms") -> float | None:
    return REGISTRY.get_sample_value(f"tidings_{name}", {"consumer": consumer})


@pytest.fixture
def sweeper(database: Database, counts: Counts) -> Sweeper:
    return Sweeper(database, counts, grace=60, timeouts={})


def test_each_consumer_is_swept_and_its_figures_are_shown(sweeper: Sweeper, bench: Bench, database: Database) -> None:
    with database.transaction() as session:
        consumers.declare(session, [Subscription("mail", (EVERY_TYPE,), print)])
    fill(database, 40, at=ago(600))
    handle(database, "sms", 30)
    handle(database, "mail", 40)
    bench.made(ago(500))
    assert PAUSE == sweeper.step()
    assert (30, 10, 10, 10) == (
        figure("settled_position"), figure("lag_events"), figure("resent_events"), figure("unsettled_rows")
    )  # fmt: skip
    assert 600 <= (figure("lag_seconds") or 0) < 660
    assert (40, 0, 0) == (
        figure("settled_position", "mail"), figure("lag_events", "mail"), figure("resent_events", "mail")
    )  # fmt: skip


def test_it_comes_again_soon_while_there_is_more_to_send(sweeper: Sweeper, bench: Bench) -> None:
    fill(bench.database, 3_000, at=ago(600))
    bench.made(ago(500))
    assert SOON == sweeper.step()


def test_figures_that_are_not_ours_any_more_are_not_shown(
    sweeper: Sweeper, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bench.database, 3)
    sweeper.step()
    assert 3 == figure("lag_events")
    monkeypatch.setattr(standings, "_STALE", -1.0)
    assert math.isnan(figure("lag_events") or 0)


def test_consumers_for_whom_nothing_has_come_pass_over_it_together(sweeper: Sweeper, database: Database) -> None:
    """Fifty of them would else be asked for, and written down, one by one after each event."""
    with database.transaction() as session:
        consumers.declare(session, [Subscription(name, (DAY,), print) for name in ("one", "other")])
    fill(database, 5, at=ago(600))  # none of which is the end of a day
    statements = asked(database, sweeper.step)
    assert 1 == sum(each.startswith("UPDATE subscription") for each in statements)
    assert {"one": 5, "other": 5} == scanned(database)


def test_one_for_whom_something_has_come_does_not_pass_over_it(sweeper: Sweeper, database: Database) -> None:
    with database.transaction() as session:
        consumers.declare(session, [Subscription("one", (DAY,), print)])
    fill(database, 15, at=ago(600))
    sweeper.step()
    with database.reading() as session:
        assert ({"one": 15}, 1) == (scanned(database), unsettled.count(session, "one"))


def scanned(database: Database) -> dict[str, int]:
    with database.reading() as session:
        return {row.consumer: row.scanned for row in consumers.declared(session)}


def asked(database: Database, step: Callable[[], object]) -> list[str]:
    """What a step asks of the database."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        seen.append(statement)

    listen.listen(database.engine, "before_cursor_execute", note)
    step()
    listen.remove(database.engine, "before_cursor_execute", note)
    return seen
