"""`./tidings sweep`: one pass now, for people and for programs."""

import json
from typing import Any

import pytest

from infra import commands
from infra.recovery import __main__ as program
from infra.recovery import sweeping
from tests.brokers import BrokerApi
from tests.eventlogs import fill, handle
from tests.infra.recovery.conftest import Bench, ago

NOWHERE = "amqp://someone:secret@127.0.0.1:1/x"


pytestmark = pytest.mark.usefixtures("restored_logs")


@pytest.fixture(autouse=True)
def machine(bench: Bench, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five of forty events of ten minutes ago are settled by nobody."""
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    monkeypatch.setenv("TIDINGS_RABBITMQ_URL", NOWHERE)
    fill(bench.database, 40, at=ago(600))
    handle(bench.database, "sms", 35)


def run(*words: str) -> int:
    return commands.code(program.app, "./tidings", ["sweep", *words])


def swept(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The one item of a sweep as JSON, without its age."""
    assert 0 == run("--json", *words)
    (item,) = json.loads(capsys.readouterr().out)["items"]
    assert 600 <= item.pop("lag_seconds") < 700
    return dict(item)


FOUND = {"consumer": "sms", "settled": 35, "last": 40, "lag_events": 5, "lost": 5, "sent": 5, "resent": 5}


def test_what_is_lost_by_an_empty_queue_is_sent_once(
    bench: Bench, vhost: str, broker_api: BrokerApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDINGS_RABBITMQ_URL", vhost)
    with bench.database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE event_log SET body = '{}'")
    run("--dry-run")  # makes the queues
    capsys.readouterr()
    assert {**FOUND, "sent": 0, "resent": 0} == swept(capsys, "--dry-run")
    assert FOUND == swept(capsys, "--consumer", "sms")
    assert {**FOUND, "lost": 0, "sent": 0} == swept(capsys)
    assert broker_api.has_queue(vhost, "sms")


def test_without_a_broker_it_says_so_and_sends_what_is_known_to_be_lost(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.made(ago(10))
    assert 0 == run()
    said = capsys.readouterr()
    assert "sms" in said.out
    assert "RabbitMQ cannot be reached" in said.err
    assert "secret" not in said.err
    assert 5 == len(bench.waiting())


def test_it_shows_how_far_it_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweeping, "SLICE", 5)
    monkeypatch.setattr(sweeping, "SLICES", 2)
    assert {**FOUND, "lost": 0, "sent": 0, "resent": 0} == swept(capsys)
    run()
    fill(bench.database, 80, 41, at=ago(600))
    run()
    assert "sms: looked at the log up to 50, sent 0" in capsys.readouterr().err


def test_a_consumer_that_does_not_exist_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == run("--consumer", "telegram")
    assert "tidings: There is no consumer 'telegram': ./tidings consumers list shows all.\n" == capsys.readouterr().err
