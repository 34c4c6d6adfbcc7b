"""The events' road under everything that may happen to it, in any order: nothing lost, nothing twice, no phantom.

Rules are what happens, invariants are what must hold after each of them. Our own code, a real database, a model of the
broker.
"""

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from infra.database.engine import Database
from infra.rabbitmq.topology import TIERS
from tests.model import processes
from tests.model.machine import ANY_FAULTS, Machine, maybe, picks
from tests.model.world import EFFECT, FINE, HANDLER, MAIL, RECORDED_LATER, ROWS, SUBJECTS, World

#: What befalls a delivery that goes well, one whose copy goes to a tier, and one whose copy goes to the dead letters.
FINE_FAULTS = ["delivery.in-transaction", "delivery.after-commit", "delivery.after-effect", "delivery.before-ack"]
COPY_FAULTS = [processes.CONFIRM_LOST, processes.NOT_CONFIRMED]
DELIVERIES = [
    *product([FINE], FINE_FAULTS + ANY_FAULTS),
    *product([*HANDLER, *EFFECT], ["retry.before-ack", *COPY_FAULTS, *ANY_FAULTS]),
    *product(["refused"], ["dead.before-ack", *COPY_FAULTS, *ANY_FAULTS]),
]
#: In one world.
MOST_EVENTS = 4
RELAY_FAULTS = ["before the log", "the commit's answer is lost"]


class Road(Machine):
    """The world of events."""

    world_of: ClassVar[type[World]] = World

    def _made(self, database: Database, _folder: Path) -> World:
        return type(self).world_of(database)

    @initialize(subject=st.sampled_from(SUBJECTS))
    def first(self, subject: Any) -> None:
        self.world.register(subject)
        self.world.relay(1)

    @precondition(lambda self: len(self.world.seen.log) + len(self.world.seen.outbox) < MOST_EVENTS)
    @rule(subject=st.sampled_from(SUBJECTS))
    def register(self, subject: Any) -> None:
        self.world.register(subject)

    @precondition(lambda self: self.world.seen.outbox)
    @rule(most=st.integers(1, 4), fault=maybe(RELAY_FAULTS))
    def relay(self, most: int, fault: str | None) -> None:
        self.world.relay(most, fault)

    @precondition(lambda self: self.world.seen.resends)
    @rule(most=st.integers(1, 4), fault=maybe([*RELAY_FAULTS, RECORDED_LATER]))
    def resend(self, most: int, fault: str | None) -> None:
        self.world.resend(most, fault)

    @precondition(lambda self: self.world.unrecorded)
    @rule()
    def record(self) -> None:
        self.world.record()

    @precondition(lambda self: self._waiting())
    @rule(picks=st.lists(picks, min_size=1, max_size=4))
    def deliver(self, picks: list[int]) -> None:
        for pick in picks:
            if waiting := self._waiting():
                self.world.deliver(self._pick(waiting, pick))

    @precondition(lambda self: self._waiting())
    @rule(pick=picks, behaviour=st.sampled_from([*HANDLER, *EFFECT]))
    def fail(self, pick: int, behaviour: str) -> None:
        """Until it is dead: the tiers' time passes."""
        item = self._pick(self._waiting(), pick)
        for _ in range(3):
            self.world.deliver(item, behaviour)
            came_back = [each for each in self.broker.waiting(*TIERS.values()) if each.event_id == item.event_id]
            if not came_back:
                return
            self.world.expire(came_back[0])
            item = self.broker.queues[came_back[0].message.routing_key][-1]

    @precondition(lambda self: self._waiting())
    @rule(pick=picks, how=st.sampled_from(DELIVERIES))
    def deliver_badly(self, pick: int, how: tuple[str, str]) -> None:
        """In any order: what a queue promises holds for one worker with one thread only."""
        self.world.deliver(self._pick(self._waiting(), pick), *how)

    @precondition(lambda self: self.world.may_wait_for_a_year)
    @rule()
    def clean(self) -> None:
        self.world.clean()

    # What must hold.

    @invariant()
    def handlers_work_happens_once(self) -> None:
        world = self.world
        assert {} == {key: count for key, count in world.seen.journal.items() if count > 1 + world.forced[key]}

    @invariant()
    def mails_double_only_where_nobody_could_write_down_that_they_went(self) -> None:
        world = self.world
        allowed = {key: 1 + world.forced[key] + world.unmarked[key] for key in world.mails}
        assert {} == {key: count for key, count in world.mails.items() if count > allowed[key]}

    @invariant()
    def nothing_happens_that_was_not_announced(self) -> None:
        world = self.world
        known = {event for events in world.registered.values() for event in events}
        seen = {key[0] for key in [*world.seen.journal, *world.seen.inbox, *world.mails]}
        assert known >= seen | {row.event_id for row in world.seen.letters} | {row.event_id for row in world.seen.log}

    @invariant()
    def the_log_has_the_events_of_a_subject_in_the_order_of_their_commits(self) -> None:
        cleaned, positions = self.world.cleaned, [row.position for row in self.world.seen.log]
        assert sorted(set(positions)) == positions
        assert len(cleaned) + len(positions) == max(positions, default=0)
        for subject, events in self.world.registered.items():
            logged = [row.event_id for row in self.world.seen.log if row.subject == subject]
            assert [event for event in events if event not in cleaned][: len(logged)] == logged

    @invariant()
    def every_event_is_somewhere_for_every_consumer(self) -> None:
        world = self.world
        handled = {key for key, row in world.seen.inbox.items() if row.state == "handled"}
        handled |= {(event, consumer) for event in world.cleaned for consumer in world.consumers}
        kept = {(row.event_id, row.consumer) for row in world.seen.letters if row.state == "waiting"}
        moving = {(item.event_id, item.consumer) for item in self.broker.all()} | world.seen.resends | world.lost
        moving |= world.seen.put_by
        waiting = {(event, consumer) for event in world.seen.outbox for consumer in world.consumers}
        everything = {(e, c) for events in world.registered.values() for e in events for c in world.consumers}
        assert set() == everything - handled - kept - moving - waiting

    @invariant()
    def a_letter_and_the_inbox_say_the_same(self) -> None:
        inbox = self.world.seen.inbox
        for row in self.world.seen.letters:
            state = inbox[row.event_id, row.consumer].state
            if row.state == "handled":
                assert "handled" == state

    def _end(self) -> None:
        world = self.world
        world.drain()
        self.handlers_work_happens_once()
        self.mails_double_only_where_nobody_could_write_down_that_they_went()
        self.a_letter_and_the_inbox_say_the_same()
        inbox, journal = world.seen.inbox, world.seen.journal
        kept = {(row.event_id, row.consumer) for row in world.seen.letters if row.state == "waiting"}
        assert Counter() == Counter(row.state for row in world.seen.letters if row.state in {"queued", "replaying"})
        for event in {event for events in world.registered.values() for event in events} - world.cleaned:
            for key in ((event, consumer) for consumer in world.consumers):
                assert key in kept or "handled" == inbox[key].state
                if inbox[key].state == "handled":
                    assert key[1] == MAIL or journal[key]
                    assert key[1] == ROWS or world.mails[key]
