"""After a cleaning, the sweep and replays make no handler run again, and what was open is still done."""

from collections import Counter

from infra.database import consumers
from infra.database.engine import Database
from infra.rabbitmq.topology import DEAD_LETTERS, TIERS
from tests.model.world import BOTH, CONSUMERS, ROWS, SUBJECTS, World


def deliver_all(world: World, *queues: str) -> None:
    for item in world.broker.waiting(*queues or (*CONSUMERS, DEAD_LETTERS)):
        world.deliver(item)


def test_what_is_done_is_done_once_and_what_is_open_is_done_after_all(database: Database) -> None:
    world = World(database)
    for number in range(6):
        world.register(SUBJECTS[number % 3])
    world.relay(3)
    deliver_all(world)
    world.clean()
    assert 2 == len(world.cleaned)  # the newest one stays, to count from
    world.relay(3)
    dead, retried, lost = (item for item in world.broker.waiting(ROWS))
    world.broker.give_up(dead, "delivery_limit")
    world.deliver(retried, "lost connection")
    deliver_all(world, BOTH, DEAD_LETTERS)
    world.lose_queue(ROWS)
    world.clean()
    assert {3, 4, 5, 6} >= {row.position for row in world.seen.log} >= {4, 5, 6}
    world.sweep()
    assert {(lost.event_id, ROWS)} <= world.seen.resends
    world.replay([row.id for row in world.seen.letters], force=False)
    world.drain()
    everything = {event for events in world.registered.values() for event in events}
    assert Counter({(event, consumer): 1 for event in everything for consumer in (ROWS, BOTH)}) == world.seen.journal
    world.clean()
    assert 5 == len(world.cleaned)
    world.sweep()
    world.drain()
    assert {1} == {*world.seen.journal.values()}
    assert {1} == {*world.mails.values()}


def test_a_consumer_that_comes_after_a_cleaning_counts_from_the_logs_end(database: Database) -> None:
    world = World(database)
    for subject in SUBJECTS:
        world.register(subject)
    world.relay(3)
    deliver_all(world)
    world.clean()
    with database.reading() as session:
        assert {3} == {row.scanned for row in consumers.declared(session)}
    world.register(SUBJECTS[0])
    world.relay(1)
    assert [3, 4] == [row.position for row in world.seen.log]
    assert len(CONSUMERS) == len(world.broker.waiting(*CONSUMERS))
    assert [] == world.broker.waiting(*TIERS.values())
