"""Each way in which a broker can differ from what is wanted is said in one line, and counts or does not."""

from dataclasses import replace

from infra.rabbitmq import topology
from infra.rabbitmq.management import Binding, Exchange, Present, Queue
from infra.topology.comparing import differences
from infra.topology.wanting import Wanted

CONSUMERS = [("log", ("#",), "Write it down"), ("sms", ("user.left", "user.registered"), "Send a text message")]
WANTED = Wanted(queues={queue.name: queue for queue in topology.queues(CONSUMERS)}, consumers=frozenset(["log", "sms"]))


def present(**changed: Queue) -> Present:
    """A broker that has all that is wanted, with some queues in another way."""
    queues = {each.name: Queue(each.name, True, each.arguments, 0, 0, 1) for each in WANTED.queues.values()}
    return Present(
        queues={**queues, **changed},
        exchanges={name: Exchange(name, kind.value, True) for name, kind in topology.exchanges().items()},
        bindings=frozenset(
            Binding(each.exchange, key, each.name) for each in WANTED.queues.values() for key in each.keys
        ),
    )


def lines(there: Present, wanted: Wanted = WANTED) -> list[tuple[str, str, bool]]:
    """Kind, text, and whether it counts."""
    return [(each.kind, each.text, each.counts) for each in differences(wanted, there)]


def sms(**changed: object) -> Queue:
    """The consumer's queue with other arguments."""
    arguments = {**WANTED.queues["sms"].arguments, **{f"x-{name}": value for name, value in changed.items()}}
    return Queue("sms", True, {name: value for name, value in arguments.items() if value is not None}, 3, 2, 1)


def test_a_broker_that_has_everything_differs_in_nothing() -> None:
    assert [] == lines(present())


def test_what_is_missing_is_named() -> None:
    there = present()
    queues = {name: each for name, each in there.queues.items() if name != "sms"}
    exchanges = {name: each for name, each in there.exchanges.items() if name != "retry.5s"}
    bindings = there.bindings - {Binding("events", "#", "log")}
    bindings -= {each for each in bindings if each.queue == "sms"}
    assert [
        ("exchange", "exchange retry.5s is missing", True),
        ("binding", "queue log is not bound to events by #", True),
        ("queue", "queue sms is missing", True),
    ] == lines(Present(queues, exchanges, bindings))


def test_arguments_that_differ_say_what_is_and_what_is_wanted() -> None:
    there = present(sms=sms(**{"delivery-limit": 5, "overflow": None}))
    text = "x-delivery-limit is 5, wanted 20; x-overflow is not set, wanted 'reject-publish'"
    assert [("arguments", f"queue sms: {text}", True)] == lines(there)


def test_another_description_is_a_difference_as_any_argument() -> None:
    (found,) = differences(WANTED, present(sms=sms(description="Old")))
    assert {"x-description": {"has": "Old", "wanted": "Send a text message"}} == found.arguments


def test_a_tier_with_other_arguments_is_for_hands_and_with_another_description_a_note() -> None:
    tier = WANTED.queues["retry.5s"]
    other = {"x-message-ttl": 9, "x-description": "Old"}
    found = [
        lines(present(**{tier.name: Queue(tier.name, True, {**tier.arguments, name: value}, 0, 0, 0)}))
        for name, value in other.items()
    ]
    assert [[("by-hand", True)], [("note", False)]] == [[(kind, counts) for kind, _, counts in each] for each in found]
    assert "delete it in the management UI: it is made again within 5 s" in found[0][0][1]


def test_bindings_that_nobody_wants_are_too_many() -> None:
    there = present()
    more = {Binding("events", "user.moved", "sms"), Binding("foreign", "", "sms"), Binding("foreign", "", "theirs")}
    assert [
        ("unbinding", "queue sms is bound to events by user.moved, which it should not be", True),
        ("unbinding", "queue sms is bound to foreign, which it should not be", True),
    ] == lines(replace(there, bindings=there.bindings | more))


def test_a_queue_that_nobody_wants_is_an_orphan_and_of_a_retired_consumer_says_so() -> None:
    there = present(old=replace(sms(), name="old"), other=replace(sms(), name="other"))
    wanted = replace(WANTED, retired={"old": "ada on 2026-11-26"})
    assert [
        (
            "orphan",
            "queue old is wanted by nobody, of a consumer that ada on 2026-11-26 retired (5 messages, 1 consumers)",
            False,
        ),
        ("orphan", "queue other is wanted by nobody (5 messages, 1 consumers)", False),
    ] == lines(there, wanted)


def test_a_queue_that_a_migration_left_counts_until_the_migration_is_completed() -> None:
    there = present(**{"sms.migrating": replace(sms(), name="sms.migrating")})
    assert [("migration", True)] == [(kind, counts) for kind, _, counts in lines(there)]


def test_a_queue_without_workers_is_a_note_that_knows_of_a_pause() -> None:
    there = present(sms=replace(sms(), consumers=0), log=Queue("log", True, WANTED.queues["log"].arguments, 0, 0, 0))
    assert [
        ("note", "queue log: its consumer is paused (0 messages wait)", False),
        ("note", "queue sms: no worker takes from it (3 messages wait)", False),
    ] == lines(there, replace(WANTED, paused=frozenset(["log"])))


def test_a_consumer_that_retires_keeps_its_queue_without_bindings() -> None:
    (log, _), queues = CONSUMERS, dict(WANTED.queues)
    del queues["sms"]
    wanted = replace(WANTED, queues=queues, consumers=frozenset([log[0]]), retiring=frozenset(["sms"]))
    assert [
        ("unbinding", "queue sms is bound to events by user.left, which it should not be", True),
        ("unbinding", "queue sms is bound to events by user.registered, which it should not be", True),
        ("note", "queue sms is being retired: 0 wait", False),
    ] == lines(present(), wanted)


def test_what_code_and_database_do_not_share_is_said() -> None:
    wanted = replace(WANTED, unrecorded=frozenset(["sms"]), moduleless=frozenset(["log"]))
    assert [("record", "sms", True), ("note", "log", False)] == [
        (each.kind, each.name, each.counts) for each in differences(wanted, present())
    ]
