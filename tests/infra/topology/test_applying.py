"""`apply` on a real broker: it declares, binds, unbinds, and makes queues anew without losing a message."""

import json
from typing import Any

import pytest

from infra.database import emptied, pauses
from infra.errors import BrokerUnavailable
from infra.rabbitmq import moving
from infra.rabbitmq.blocking import BlockingPublisher
from infra.topology import migrating
from tests.infra.topology.conftest import Run, Stage
from tests.waiting import until

OLD = {"x-delivery-limit": 5}


@pytest.fixture(autouse=True)
def without_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here kills the broker, so a queue need not have grown up before it is used."""
    monkeypatch.setattr(migrating, "_YOUNG", 0.0)


def bodies(stage: Stage, queue: str) -> list[bytes]:
    """What lies in a queue, which is taken out."""
    return [body for _, body in stage.api.take(stage.vhost, queue)]


def test_on_an_empty_broker_everything_is_made_and_then_nothing_is_left_to_do(stage: Stage, run: Run) -> None:
    code, output, _ = run("apply", "--yes")
    assert (0, "The broker is as it should be.") == (code, output.splitlines()[-1])
    assert 0 == run("plan")[0]


def test_without_a_terminal_it_wants_to_be_told_yes(stage: Stage, run: Run) -> None:
    code, _, errors = run("apply")
    assert (2, True, {}) == (code, "say --yes" in errors, stage.api.queues(stage.vhost))
    stage.declare()
    assert 0 == run("apply")[0]  # nothing to be asked about


def test_a_binding_that_nobody_wants_is_taken_away(stage: Stage, run: Run) -> None:
    stage.declare()
    stage.bind("sms", "user.left")
    assert 0 == run("apply", "--yes")[0]
    assert {("events", "user.registered")} == {each[:2] for each in stage.api.bindings(stage.vhost) if each[2] == "sms"}


def test_a_queue_with_other_arguments_is_made_anew_with_all_its_messages(stage: Stage, run: Run) -> None:
    stage.make_queue("sms", **OLD)
    stage.bind("sms", "user.old")
    stage.declare()
    said = [b"m%d" % number for number in range(450)]
    stage.send("sms", *said, headers={"x-attempt": 3, "x-death": []}, type="user.registered", correlation_id="c")
    assert 0 == run("apply", "--yes")[0]
    assert 20 == stage.api.queues(stage.vhost)["sms"]["arguments"]["x-delivery-limit"]
    taken = stage.api.take(stage.vhost, "sms")
    assert said == [body for _, body in taken]
    first = taken[0][0]
    assert (3, False) == (first.headers["x-attempt"], "x-death" in first.headers)
    assert ("user.registered", "c", 2, "sms 0") == (
        first.type, first.correlation_id, first.delivery_mode, first.message_id,
    )  # fmt: skip
    assert "sms.migrating" not in stage.api.queues(stage.vhost)
    with stage.database.reading() as session:
        assert ({}, {}) == (emptied.times(session), pauses.paused(session))


def test_dead_letters_that_move_keep_who_gave_them_up(stage: Stage, run: Run) -> None:
    stage.declare()
    stage.api.delete_queue(stage.vhost, "dead-letters")
    stage.make_queue("dead-letters", **{"x-dead-letter-exchange": None, "x-dead-letter-strategy": None})
    with stage.api.channel(stage.vhost) as channel:
        channel.queue_bind("dead-letters", "dead")
    stage.send("sms", b"poison")
    with stage.api.channel(stage.vhost) as channel:
        method, _, _ = channel.basic_get("sms")
        channel.basic_reject(method.delivery_tag, requeue=False)
        until(lambda: stage.api.messages(stage.vhost, "dead-letters") == 1, what="the broker's moving it")
    assert 0 == run("apply", "--yes")[0]
    ((properties, body),) = stage.api.take(stage.vhost, "dead-letters")
    assert (b"poison", "sms") == (body, properties.headers["x-death"][0]["queue"])
    assert 1_000_000_000 == stage.api.queues(stage.vhost)["dead-letters"]["arguments"]["x-delivery-limit"]


STEPS = ["prepare", "move", "replace", "delete"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_interrupted_at_any_step_a_second_run_completes_it(
    stage: Stage, run: Run, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    stage.make_queue("sms", **OLD)
    stage.declare()
    said = [b"m%d" % number for number in range(250)]
    stage.send("sms", *said)
    whole, work = getattr(moving, step), BlockingPublisher.work

    def broken(self: BlockingPublisher, job: Any) -> object:
        if job.func is not whole:
            return work(self, job)
        if when == "after":
            work(self, job)
        raise BrokerUnavailable("interrupted")

    with monkeypatch.context() as broke:
        broke.setattr(BlockingPublisher, "work", broken)
        code, _, errors = run("apply", "--yes")
        assert (1, True) == (code, "interrupted" in errors)
    code, output, _ = run("apply", "--yes")
    assert (0, []) == (code, json.loads(run("plan", "--json")[1])["items"][2:]), output
    assert sorted(said) == sorted(set(bodies(stage, "sms")))
    assert {"sms", "log"} == {
        name for name in stage.api.queues(stage.vhost) if "." not in name and name != "dead-letters"
    }


def test_orphans_go_when_they_are_empty_and_only_if_that_is_asked(stage: Stage, run: Run) -> None:
    stage.declare()
    stage.make_queue("empty")
    stage.make_queue("full")
    stage.send("full", b"m")
    assert 0 == run("apply", "--yes")[0]
    code, _, _ = run("apply", "--yes", "--delete-orphans")
    assert (0, False, True) == (
        code, stage.api.has_queue(stage.vhost, "empty"), stage.api.has_queue(stage.vhost, "full"),
    )  # fmt: skip


def test_what_only_hands_can_put_right_is_left_and_said(stage: Stage, run: Run) -> None:
    with stage.api.channel(stage.vhost) as channel:
        channel.queue_declare("retry.5s", durable=True, arguments={"x-queue-type": "quorum", "x-message-ttl": 9})
    code, output, _ = run("apply", "--yes")
    assert (1, True, "1 left: see above what to do.") == (
        code, "by-hand    queue retry.5s: x-dead-letter-exchange is not set" in output, output.splitlines()[-1],
    )  # fmt: skip
