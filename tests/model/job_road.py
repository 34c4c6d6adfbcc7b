"""Jobs under everything that may happen to them: none runs twice at once, each step happens once, ends are ends."""

from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from infra.database.engine import Database
from tests.model.job_world import (
    CANCELLED,
    CANCELLED_AND_SEEN,
    COPY,
    COPY_AFTER_THE_LEASE,
    FINAL,
    KINDS,
    STEPS,
    STOPPED,
    JobWorld,
    Script,
)
from tests.model.machine import ANY_FAULTS, Machine, maybe, picks
from tests.model.processes import CONFIRM_LOST, NOT_CONFIRMED
from tests.model.world import EFFECT, FINE, HANDLER

JOB_FAULTS = [
    "job.after-begin", "job.before-checkpoint", "job.after-checkpoint", "job.before-end", "job.after-end",
    "delivery.after-commit", "delivery.after-effect", "delivery.before-ack", *ANY_FAULTS,
]  # fmt: skip
COPY_FAULTS = ["retry.before-ack", "dead.before-ack", CONFIRM_LOST, NOT_CONFIRMED]
MOST_JOBS = 4
OPEN = frozenset({"queued", "running", "retrying"})


class JobRoad(Machine):
    """The world of jobs."""

    world: JobWorld

    def _made(self, database: Database, folder: Path) -> JobWorld:
        return JobWorld(database, folder / "results")

    @initialize(kind=st.sampled_from(KINDS))
    def first(self, kind: str) -> None:
        self.world.ask(kind, 1)
        self.world.relay(1)

    @precondition(lambda self: len(self.world.registered) < MOST_JOBS)
    @rule(kind=st.sampled_from(KINDS), number=st.integers(1, 2))
    def ask(self, kind: str, number: int) -> None:
        self.world.ask(kind, number)

    @precondition(lambda self: self.world.seen.outbox or self.world.seen.resends)
    @rule(most=st.integers(1, 4))
    def relay(self, most: int) -> None:
        self.world.relay(most)
        self.world.resend(most)

    @precondition(lambda self: self._waiting())
    @rule(pick=picks, fault=maybe(JOB_FAULTS))
    def deliver(self, pick: int, fault: str | None) -> None:
        self.world.deliver(self._pick(self._waiting(), pick), FINE, fault)

    @precondition(lambda self: self._waiting())
    @rule(pick=picks, what=st.sampled_from([*HANDLER, *EFFECT]), step=st.integers(0, STEPS))
    def fail(self, pick: int, what: str, step: int) -> None:
        self.world.play(self._pick(self._waiting(), pick), Script(what, step))

    @precondition(lambda self: self._waiting())
    @rule(pick=picks, what=st.sampled_from([CANCELLED, CANCELLED_AND_SEEN, STOPPED]), step=st.integers(0, STEPS))
    def is_told_to_end(self, pick: int, what: str, step: int) -> None:
        self.world.play(self._pick(self._waiting(), pick), Script(what, step))

    @precondition(lambda self: self._waiting())
    @rule(pick=picks, what=st.sampled_from([COPY, COPY_AFTER_THE_LEASE]), step=st.integers(0, STEPS))
    def a_copy_comes_meanwhile(self, pick: int, what: str, step: int) -> None:
        """To the other process, which must leave the job alone; or must take it, for the lease is over."""
        self.world.play(self._pick(self._waiting(), pick), Script(what, step))

    @precondition(lambda self: self._waiting())
    @rule(
        pick=picks, step=st.integers(0, STEPS), what=st.sampled_from(list(HANDLER)), fault=st.sampled_from(COPY_FAULTS)
    )
    def fail_badly(self, pick: int, step: int, what: str, fault: str) -> None:
        self.world._script = Script(what, step)
        self.world.deliver(self._pick(self._waiting(), pick), FINE, fault)
        self.world._script = None

    @precondition(lambda self: self.world.registered)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        self.world.cancel(self._pick(sorted(self.world.registered), pick))

    @rule()
    def tend(self) -> None:
        self.world.tend()

    @rule()
    def the_dead_are_known(self) -> None:
        self.world.the_dead_are_known()

    @rule()
    def switch(self) -> None:
        self.world.switch()

    # What must hold.

    @invariant()
    def nothing_was_wrong_in_the_middle_of_something(self) -> None:
        assert [] == self.world.wrong

    @invariant()
    def a_step_happens_once(self) -> None:
        again = self.world.again
        assert {} == {key: n for key, n in self.world.seen.journal.items() if n > 1 + again[key[0]]}

    @invariant()
    def a_mail_doubles_only_where_nobody_could_write_down_that_it_went(self) -> None:
        world = self.world
        allowed = {key: 1 + world.again[key[0]] + world.unmarked[key] for key in world.mails}
        assert {} == {key: n for key, n in world.mails.items() if n > allowed[key]}

    @invariant()
    def an_end_is_an_end_unless_an_operator_has_it_done_again(self) -> None:
        world = self.world
        for row in world.jobs:
            if row.state in FINAL:
                world.ended.setdefault(row.id, row.state)
            if row.id in world.ended and not world.again[row.event_id]:
                assert world.ended[row.id] == row.state

    @invariant()
    def what_succeeded_has_all_of_its_steps_and_its_result(self) -> None:
        steps, files = self.world.seen.journal, self.world.files
        for row in self.world.jobs:
            if row.state == "succeeded":
                assert all(steps[row.event_id, f"step {number}"] for number in range(STEPS))
                assert (1, 1.0) == (files.get(row.id), row.progress)

    @invariant()
    def what_is_over_says_when_and_what_is_not_does_not(self) -> None:
        for row in self.world.jobs:
            assert (row.state in OPEN) == (row.finished_at is None)

    @invariant()
    def one_of_a_unique_kind_is_open_with_the_same_parameters(self) -> None:
        keys = [row.unique_key for row in self.world.jobs if row.unique_key and row.state in OPEN]
        assert sorted(set(keys)) == sorted(keys)

    def _end(self) -> None:
        """Every job comes to its end, and every mail of its steps goes out, unless its letter waits for somebody."""
        world = self.world
        world.drain()
        world.tend()
        for holds in (
            self.nothing_was_wrong_in_the_middle_of_something,
            self.a_step_happens_once,
            self.what_succeeded_has_all_of_its_steps_and_its_result,
        ):
            holds()
        kept = {row.event_id for row in world.seen.letters if row.state == "waiting"}
        for row in world.jobs:
            assert row.state not in OPEN, row.state
            if row.event_id not in kept:
                sent = {key[1] for key in world.mails if key[0] == row.event_id}
                steps = {key[1] for key in world.seen.journal if key[0] == row.event_id}
                assert {step.replace("step", "mail") for step in steps} == sent
